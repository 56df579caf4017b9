package outbox

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// UnregisteredTypeError: a payload of a proto type that this program does not have.
var UnregisteredTypeError = errors.New("proto type is not registered: import the package that has it")

// PayloadError: a payload that Encode has not made.
var PayloadError = errors.New("not a proto message's payload")

// Encode is a proto message as a payload: its type's name, a NUL byte, its bytes. A nil
// one is a PayloadError.
func Encode(message proto.Message) (payload string, err error) {
	if message == nil || !message.ProtoReflect().IsValid() {
		return "", fmt.Errorf("outbox.Encode: a nil message: %w", PayloadError)
	}
	bytes, err := proto.Marshal(message)
	if err != nil {
		return "", fmt.Errorf("outbox.Encode: %w", err)
	}
	return string(message.ProtoReflect().Descriptor().FullName()) + "\x00" + string(bytes), nil
}

// Proto is the proto message that the payload is of. It fails with UnregisteredTypeError
// or PayloadError.
func (m Message) Proto() (proto.Message, error) {
	name, bytes, found := strings.Cut(m.Payload, "\x00")
	if !found || !protoreflect.FullName(name).IsValid() {
		return nil, fmt.Errorf("outbox.Proto: %w", PayloadError)
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil, fmt.Errorf("outbox.Proto: %s: %w", name, UnregisteredTypeError)
	}
	message := kind.New().Interface()
	if err := proto.Unmarshal([]byte(bytes), message); err != nil {
		return nil, fmt.Errorf("outbox.Proto: %s: %w: %w", name, PayloadError, err)
	}
	return message, nil
}
