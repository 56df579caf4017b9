package outbox_test

import (
	"testing"

	"forge.lthn.ai/core/go-store/outbox"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

func TestProtoPayloads(t *testing.T) {
	payload, err := outbox.Encode(actor.NewPID("host\x00", "id"))
	require.NoError(t, err)
	back, err := outbox.Message{Payload: payload}.Proto()
	require.NoError(t, err)
	require.True(t, proto.Equal(actor.NewPID("host\x00", "id"), back))

	_, err = outbox.Encode(nil)
	require.ErrorIs(t, err, outbox.PayloadError)
	_, err = outbox.Encode((*actor.PID)(nil))
	require.ErrorIs(t, err, outbox.PayloadError)
	for _, broken := range []string{"", "text", "not a name\x00", "\x00", "actor.PID\x00\xff"} {
		_, err = outbox.Message{Payload: broken}.Proto()
		require.ErrorIs(t, err, outbox.PayloadError, "%q", broken)
	}
	_, err = outbox.Message{Payload: "no.such.Type\x00"}.Proto()
	require.ErrorIs(t, err, outbox.UnregisteredTypeError)
}
