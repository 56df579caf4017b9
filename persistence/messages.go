package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"forge.lthn.ai/core/go-store/api"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// A message's content is the length of its type's full name, the name, and the bytes
// that protobuf makes of it, deterministically: equal messages are equal rows.

// encode is the value of the row for a message. What could not be read again is
// refused.
func (p *Provider) encode(message proto.Message, actor, key string) (value string, kind protoreflect.FullName, err error) {
	// A type of the user's that only looks like a message panics when it is asked.
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%T: %v: %w", message, reason, InvalidMessageError)
		}
	}()
	if message == nil {
		return "", "", fmt.Errorf("it is nil: %w", InvalidMessageError)
	}
	reflection := message.ProtoReflect()
	if !reflection.IsValid() {
		return "", "", fmt.Errorf("%T is nil: %w", message, InvalidMessageError)
	}
	kind = reflection.Descriptor().FullName()
	if _, known := p.known.Load(kind); !known {
		if _, err := p.types.FindMessageByName(kind); err != nil {
			return "", "", &UnregisteredTypeError{Type: string(kind), Package: packageOf(reflection.Type())}
		}
	}
	buffer := make([]byte, headerSize, headerSize+binary.MaxVarintLen32+len(kind)+proto.Size(message))
	buffer = binary.AppendUvarint(buffer, uint64(len(kind)))
	buffer = append(buffer, kind...)
	if buffer, err = (proto.MarshalOptions{Deterministic: true}).MarshalAppend(buffer, message); err != nil {
		return "", "", fmt.Errorf("%s: %w: %w", kind, InvalidMessageError, err)
	}
	return seal(buffer, actor, key), kind, nil
}

func (p *Provider) decode(value, actor, key string) (proto.Message, error) {
	content, err := unseal(value, actor, key)
	if err != nil {
		return nil, err
	}
	length, n := binary.Uvarint(content)
	if n <= 0 || length > uint64(len(content)-n) {
		return nil, fmt.Errorf("no name of a type: %w", DamagedRowError)
	}
	name, encoded := protoreflect.FullName(content[n:n+int(length)]), content[n+int(length):]
	kind, err := p.types.FindMessageByName(name)
	if errors.Is(err, protoregistry.NotFound) {
		return nil, p.unregistered(name)
	}
	if err != nil {
		return nil, fmt.Errorf("%.200q is no message type: %w", name, err)
	}
	message := kind.New().Interface()
	if err := (proto.UnmarshalOptions{Resolver: p.types}).Unmarshal(encoded, message); err != nil {
		return nil, fmt.Errorf("no %s as it is today: %w: %w", name, DamagedRowError, err)
	}
	return message, nil
}

// remember adds the type to those of which the store knows what to import. It is one
// row more in the first commits with such a message after New.
func (p *Provider) remember(b *api.Batch, kind protoreflect.FullName) {
	if _, known := p.known.Load(kind); known {
		return
	}
	if message, err := p.types.FindMessageByName(kind); err == nil {
		if path := packageOf(message); path != "" {
			b.Set(p.group, string(kind), path)
		}
	}
}

func (p *Provider) remembered(kind protoreflect.FullName) {
	if _, known := p.known.Load(kind); !known {
		p.known.Store(kind, struct{}{})
	}
}

func (p *Provider) unregistered(kind protoreflect.FullName) error {
	entry, err := p.store.Entry(p.group, string(kind))
	if err != nil && !errors.Is(err, api.NotFoundError) {
		return fmt.Errorf("read what has message type %.200q: %w", kind, err)
	}
	return &UnregisteredTypeError{Type: string(kind), Package: entry.Value}
}

// packageOf is the import path of the Go package that has a message type, "" if that
// is nothing to import.
func packageOf(kind protoreflect.MessageType) string {
	message := kind.Zero().Interface()
	if _, dynamic := message.(*dynamicpb.Message); dynamic {
		return ""
	}
	goType := reflect.TypeOf(message)
	if goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	if path := goType.PkgPath(); path != "main" {
		return path
	}
	return ""
}
