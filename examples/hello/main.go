package main

import "log"
import "forge.lthn.ai/core/go-store/api"
import "forge.lthn.ai/core/go-store/protocol"
import "github.com/asynkron/protoactor-go/actor"

func main() {
	system, done := actor.NewActorSystem(), make(chan int64)
	visitor := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			c.Request(c.Spawn(api.Props("hello.db")), protocol.Increment{Group: "visits", Key: "hello", Delta: 1})
		} else if m, ok := c.Message().(protocol.Reply); ok && m.Failure() != nil {
			log.Fatal(m.Failure())
		} else if ok {
			done <- m.(protocol.IncrementDone).Number
		}
	}, actor.WithSupervisor(actor.NewOneForOneStrategy(0, 0, func(reason any) (d actor.Directive) { log.Fatal(reason); return }))))
	log.Println("visits:", <-done, "closed:", system.Root.StopFuture(visitor).Wait() == nil)
}
