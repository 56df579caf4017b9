package conformance

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var messageChecks = []check{
	{"MessagesKeepTheirTypes", 0, types},
	{"WhatWasWrittenDoesNotChange", Copies, copies},
	{"WhatIsReadIsTheReaders", Copies, readersOwn},
	{"WhatIsNoMessageIsRefused", Durable, noMessage},
}

func types(s *subject) error {
	provider, err := s.use(1 << 30)
	if err != nil {
		return err
	}
	tree, err := structpb.NewStruct(map[string]any{"a": []any{1.0, "two", nil, true}, "b": map[string]any{"c": "d"}})
	if err != nil {
		return err
	}
	packed, err := anypb.New(wrapperspb.Int64(-5))
	if err != nil {
		return err
	}
	messages := []proto.Message{wrapperspb.String("text \x00 ü"), wrapperspb.Bytes([]byte{0, 0xff, 0xc3}), wrapperspb.Int64(-1), wrapperspb.Int64(0),
		wrapperspb.Bool(false), durationpb.New(5), &emptypb.Empty{}, tree, packed, wrapperspb.Bytes(make([]byte, 1<<20))}
	state := provider.GetState()
	for i, m := range messages {
		state.PersistEvent("a", i, m)
		state.PersistSnapshot(fmt.Sprint("with snapshot ", i), 0, m)
	}
	i, errs := 0, []error(nil)
	state.GetEvents("a", 0, 0, func(e any) {
		if m, ok := e.(proto.Message); i < len(messages) && (!ok || !proto.Equal(m, messages[i])) {
			errs = append(errs, fmt.Errorf("event %d comes back as %T: %.100v", i, e, e))
		}
		i++
	})
	if i != len(messages) {
		errs = append(errs, fmt.Errorf("of %d events %d come back", len(messages), i))
	}
	for i, want := range messages {
		snapshot, _, _ := state.GetSnapshot(fmt.Sprint("with snapshot ", i))
		if m, ok := snapshot.(proto.Message); !ok || !proto.Equal(m, want) {
			errs = append(errs, fmt.Errorf("a snapshot that is a %T comes back as %T: %.100v", want, snapshot, snapshot))
		}
	}
	return errors.Join(errs...)
}

// copies: an actor may go on with the message that it has persisted.
func copies(s *subject) error {
	state, err := s.state()
	if err != nil {
		return err
	}
	event, snapshot := wrapperspb.Bytes([]byte("event")), wrapperspb.Bytes([]byte("snapshot"))
	state.PersistEvent("a", 0, event)
	state.PersistSnapshot("a", 1, snapshot)
	copy(event.Value, "XXXXX")
	copy(snapshot.Value, "XXXXX")
	got, _, _ := state.GetSnapshot("a")
	return errors.Join(same("events", eventsOf(state, "a", 0, 0), []string{"event"}), same("snapshot", []string{text(got)}, []string{"snapshot"}))
}

// readersOwn: and with the one that was replayed.
func readersOwn(s *subject) error {
	state, err := s.state()
	if err != nil {
		return err
	}
	persist(state, "a", 0, 1)
	state.PersistSnapshot("a", 1, message("snapshot"))
	state.GetEvents("a", 0, 0, func(e any) { clear(e.(*wrapperspb.BytesValue).Value) })
	got, _, _ := state.GetSnapshot("a")
	clear(got.(*wrapperspb.BytesValue).Value)
	got, _, _ = state.GetSnapshot("a")
	return errors.Join(same("events", eventsOf(state, "a", 0, 0), eventTexts("a", 0, 1)), same("snapshot", []string{text(got)}, []string{"snapshot"}))
}

// noMessage: what could not be replayed must not be taken.
func noMessage(s *subject) error {
	state, err := s.state()
	if err != nil {
		return err
	}
	var none *wrapperspb.BytesValue
	for _, m := range []proto.Message{nil, none} {
		if err := errors.Join(
			refused(fmt.Sprintf("an event that is a nil %T", m), nil, func() { state.PersistEvent("a", 0, m) }),
			refused(fmt.Sprintf("a snapshot that is a nil %T", m), nil, func() { state.PersistSnapshot("a", 0, m) })); err != nil {
			return err
		}
	}
	persist(state, "a", 0, 1)
	return same("events", eventsOf(state, "a", 0, 0), eventTexts("a", 0, 1))
}
