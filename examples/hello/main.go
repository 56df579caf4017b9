package main

import (
	"fmt"
	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/protocol"
	"github.com/asynkron/protoactor-go/actor"
)

func main() {
	system, done := actor.NewActorSystem(), make(chan int64)
	visitor := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			c.Request(c.Spawn(api.Props("hello.db")), protocol.Increment{Group: "visits", Key: "hello", Delta: 1})
		} else if m, ok := c.Message().(protocol.IncrementDone); ok {
			done <- m.Number
		}
	}))
	fmt.Println("visits:", <-done, system.Root.StopFuture(visitor).Wait())
}
