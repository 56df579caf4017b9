package api

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
)

// Codec makes bytes of values and values of bytes, for Of. It is called by any
// number of goroutines at a time, by those that call the Typed. What it returns
// as an error, and a panic, keeps the store as it is.
//
// Append appends the bytes of a value to a buffer and returns it, as append does.
// The buffer is the store's: it must not be kept. What is returned is copied
// before anything else happens.
//
// Decode is the inverse. The bytes are a copy made for this call: the value may
// share them.
type Codec[T any] interface {
	Append(buffer []byte, value T) ([]byte, error)
	Decode(data []byte) (T, error)
}

// NewCodec is a codec of two functions. The slice that encode returns is copied, so
// it may be one of the value itself. A nil function is an error when it is needed.
func NewCodec[T any](encode func(value T) ([]byte, error), decode func(data []byte) (T, error)) Codec[T] {
	return functions[T]{encode, decode}
}

type functions[T any] struct {
	encode func(T) ([]byte, error)
	decode func([]byte) (T, error)
}

func (f functions[T]) Append(buffer []byte, value T) ([]byte, error) {
	if f.encode == nil {
		return buffer, errors.New("the codec has no function that encodes")
	}
	data, err := f.encode(value)
	if len(buffer) == 0 {
		return data, err // nothing stands before it, and it is copied in any case
	}
	return append(buffer, data...), err
}

func (f functions[T]) Decode(data []byte) (value T, err error) {
	if f.decode == nil {
		return value, errors.New("the codec has no function that decodes")
	}
	return f.decode(data)
}

// textual is a codec whose values need no buffer on their way.
type textual[T any] interface {
	text(value T) string
	value(text string) T
}

// Text is the codec of strings: they are stored byte for byte, and not copied on
// the way.
func Text() Codec[string] { return textCodec{} }

type textCodec struct{}

func (textCodec) Append(buffer []byte, value string) ([]byte, error) {
	return append(buffer, value...), nil
}
func (textCodec) Decode(data []byte) (string, error) { return string(data), nil }
func (textCodec) text(value string) string           { return value }
func (textCodec) value(text string) string           { return text }

// Bytes is the codec of byte slices: they are stored byte for byte and copied
// once each way, so that neither side sees what the other does to its slice. A
// nil slice comes back as an empty one.
func Bytes() Codec[[]byte] { return bytesCodec{} }

type bytesCodec struct{}

func (bytesCodec) Append(buffer, value []byte) ([]byte, error) { return append(buffer, value...), nil }
func (bytesCodec) Decode(data []byte) ([]byte, error)          { return data, nil }
func (bytesCodec) text(value []byte) string                    { return string(value) }
func (bytesCodec) value(text string) []byte                    { return []byte(text) }

// JSON is the codec of package encoding/json, with its rules: it has strings be
// UTF-8, and puts U+FFFD in the place of bytes that are not. A []byte carries
// any. More than one JSON value, and text that is cut off, is an error.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Append(buffer []byte, value T) ([]byte, error) {
	to := appender(buffer)
	if err := json.NewEncoder(&to).Encode(value); err != nil {
		return buffer, err
	}
	return to[:len(to)-1], nil // without the end of the line
}

func (jsonCodec[T]) Decode(data []byte) (value T, err error) {
	return value, json.Unmarshal(data, &value)
}

// Gob is the codec of package encoding/gob, with its rules: each value carries
// the description of its type, some hundred bytes; what interfaces hold has to
// be registered (gob.Register). A nil pointer is an error.
func Gob[T any]() Codec[T] { return gobCodec[T]{} }

type gobCodec[T any] struct{}

func (gobCodec[T]) Append(buffer []byte, value T) ([]byte, error) {
	for at := reflect.ValueOf(value); at.Kind() == reflect.Pointer; at = at.Elem() {
		if at.IsNil() {
			return buffer, errors.New("gob has no nil pointers: it would come back as a zero value")
		}
	}
	to := appender(buffer)
	if err := gob.NewEncoder(&to).Encode(&value); err != nil {
		return buffer, err
	}
	return to, nil
}

func (gobCodec[T]) Decode(data []byte) (value T, err error) {
	from := bytes.NewReader(data)
	if err := gob.NewDecoder(from).Decode(&value); err != nil {
		return value, err
	}
	if from.Len() > 0 {
		return value, fmt.Errorf("%d bytes follow the value", from.Len())
	}
	return value, nil
}

// Proto is the codec of a protobuf message, T being the pointer that its
// generated code works with, such as *userpb.User. Equal messages have the same
// bytes as long as the program is the same. A nil message is stored as an empty
// one.
func Proto[T proto.Message]() Codec[T] { return protoCodec[T]{} }

type protoCodec[T proto.Message] struct{}

func (protoCodec[T]) Append(buffer []byte, value T) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend(buffer, value)
}

func (protoCodec[T]) Decode(data []byte) (value T, err error) {
	if any(value) == nil {
		return value, errors.New("the type is an interface: name the message's own, such as *userpb.User")
	}
	message := value.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(data, message); err != nil {
		return value, err
	}
	return message.(T), nil
}

// appender is the writer that append is.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}
