package api

import "forge.lthn.ai/core/go-store/engine"

// ActorProps say how an actor of Proto.Actor's is spawned.
type ActorProps = engine.ActorProps

// Props are those of an actor that is a store: a child of an actor of the caller's, in
// whose actor system it runs. It takes the messages of package protocol, as Store.PID
// does; for a namespace ask it with protocol.OpenNamespace.
//
// The actor opens the store when it starts, and again when its supervisor has restarted
// it; meanwhile messages wait. If that fails, an option included, it panics: the reason
// that its supervisor is given is an error that begins with "store.Props: ", with the
// cause for errors.Is and errors.As. When it stops, with its parent or alone, it first does and
// answers what was sent to it before, then closes the store. If one of the store's own
// actors is stopped from outside it panics with StoppedError as the cause; nothing acknowledged is lost. A
// failure inside of it alone leaves the store open.
//
// For what goes beyond messages, an outbox for what the actor is told among it, see WithOpened.
//
// The same Props can be used for several actors only with ":memory:", since one store
// owns a file. They may be configured further, but for the mailbox, and the dispatcher
// is ignored.
func Props(databasePath string, options ...Option) *ActorProps {
	return engine.Props(func() (engine.Config, error) { return configure(databasePath, options) })
}
