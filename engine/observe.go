package engine

import (
	"context"
	"iter"

	"forge.lthn.ai/core/go-store/internal/metrics"
	"forge.lthn.ai/core/go-store/kv"
)

// observed reports whether requests are counted or traced. A store that does neither pays
// for this question alone.
func (e *Engine) observed() bool { return e != nil && (e.meter != nil || e.tracer != nil) }

// observation is one request that is counted and traced. The zero value is one that is neither.
type observation struct {
	meter *metrics.Recorder
	kind  metrics.Kind
	timer metrics.Timer
	ended func(kv.TracedResult)
}

// begin is called when a request has been found to be one: the store is open.
func (e *Engine) begin(ctx context.Context, kind metrics.Kind, group, namespace string) (context.Context, observation) {
	if !e.observed() {
		return ctx, observation{}
	}
	o := observation{meter: e.meter, kind: kind}
	if e.meter != nil {
		o.timer = e.meter.Begin(kind)
	}
	if e.tracer != nil {
		ctx, o.ended = e.trace(ctx, kind, group, namespace)
	}
	return ctx, o
}

func (o *observation) end(err error) { o.endIn(err, nil) }

// endIn is end of what was in a batch.
func (o *observation) endIn(err error, batch *kv.TracedBatch) {
	if o.meter != nil {
		if err != nil {
			o.meter.Fail(o.kind, err)
		}
		o.took()
	}
	if o.ended != nil {
		o.ended(kv.TracedResult{Err: err, Result: metrics.Result(err), Batch: batch})
	}
}

// took notes that the caller has what it asked for. What it does with it takes its own time.
func (o *observation) took() {
	if o.meter != nil {
		o.meter.End(o.kind, o.timer)
		o.timer = metrics.Timer{}
	}
}

// beginMutation is begin, with the mutation measured on its way.
func (e *Engine) beginMutation(ctx context.Context, m *kv.Mutation, o *observation) context.Context {
	o.kind = metrics.Of(m.Kind)
	if o.meter = e.meter; o.meter != nil {
		o.timer = o.meter.Begin(o.kind)
		m.Began, m.Weight = o.timer.Began, o.timer.Weight
	}
	if e.tracer != nil {
		ctx, o.ended = e.trace(ctx, o.kind, m.Group, m.Namespace)
	}
	return ctx
}

// answered notes what came of a mutation that no caller waits for. Its answerer calls it.
func (e *Engine) answered(m *kv.Mutation, err error) {
	kind := metrics.Of(m.Kind)
	e.meter.Fail(kind, err)
	e.meter.End(kind, metrics.Timer{Began: m.Began, Weight: m.Weight})
}

// trace has the tracer told of a request that begins.
func (e *Engine) trace(ctx context.Context, kind metrics.Kind, group, namespace string) (context.Context, func(kv.TracedResult)) {
	traced, ended := e.tracer.Begin(ctx, kv.TracedRequest{Kind: kind.String(), Group: group, Namespace: namespace})
	if traced == nil { // the tracer's mistake, and not the request's end
		traced = ctx
	}
	return traced, ended
}

// endGet is observation.end for a Get, which has none: there is nothing as hot.
func (e *Engine) endGet(timer metrics.Timer, ended func(kv.TracedResult), err error) {
	if e.meter != nil {
		e.meter.Fail(metrics.Get, err)
		e.meter.End(metrics.Get, timer)
	}
	if ended != nil {
		ended(kv.TracedResult{Err: err, Result: metrics.Result(err)})
	}
}

// observeRows is what yields rows, counted: how long it takes is until the first of them. It
// ends when the loop does, however that comes.
func observeRows[T any](e *Engine, ctx context.Context, kind metrics.Kind, group string, rows func(context.Context) iter.Seq2[T, error], yield func(T, error) bool) {
	if !e.observed() {
		rows(ctx)(yield)
		return
	}
	ctx, o := e.begin(ctx, kind, group, "")
	var failed error
	defer func() { o.end(failed) }()
	rows(ctx)(func(row T, err error) bool {
		o.took()
		failed = err
		return yield(row, err)
	})
}
