package otelstore

import (
	"context"

	"forge.lthn.ai/core/go-store/api"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// tracer makes spans of requests.
type tracer struct {
	tracer   trace.Tracer
	settings settings
}

// NewTracer is for api.WithTracer. A request's span is named after what it asks, is a child of
// the span in the context that it was called with (Store.WithContext), and of the kind client. A
// write's is linked to the span of its commit, named "commit": that is a root, since it is of
// many requests, with the times that the writer has noted, and is made when the first request
// that was in it and is recorded ends.
//
// A result other than ok and not_found is an error of the span, with the result as error.type.
// Without a provider it is OpenTelemetry's global one.
func NewTracer(provider trace.TracerProvider, options ...Option) api.Tracer {
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	return &tracer{provider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)), settingsOf(options)}
}

// Begin starts a span. What is not recorded costs no more than that.
func (t *tracer) Begin(ctx context.Context, request api.TracedRequest) (context.Context, func(api.TracedResult)) {
	attributes := append(t.settings.attributes, semconv.DBOperationName(request.Kind))
	if t.settings.groups && request.Group != "" {
		attributes = append(attributes, semconv.DBCollectionName(request.Group))
	}
	if request.Namespace != "" {
		attributes = append(attributes, NamespaceKey.String(request.Namespace))
	}
	ctx, span := t.tracer.Start(ctx, request.Kind, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	if !span.IsRecording() {
		return ctx, nil
	}
	return ctx, func(result api.TracedResult) { t.end(span, result) }
}

func (t *tracer) end(span trace.Span, result api.TracedResult) {
	span.SetAttributes(ResultKey.String(result.Result))
	if batch := result.Batch; batch != nil {
		commit, _ := batch.Share(func() any { return t.commit(batch) }).(trace.SpanContext) // or another tracer's
		span.SetAttributes(BatchKey.Int64(int64(batch.Number)))
		span.AddLink(trace.Link{SpanContext: commit})
	}
	if result.Result != api.ResultOK && result.Result != api.ResultNotFound {
		span.SetAttributes(semconv.ErrorTypeKey.String(result.Result))
		text := ""
		if t.settings.errors && result.Err != nil {
			text = result.Err.Error()
			span.RecordError(result.Err)
		}
		span.SetStatus(codes.Error, text)
	}
	span.End()
}

// commit makes the span of a batch, which is over.
func (t *tracer) commit(batch *api.TracedBatch) trace.SpanContext {
	attributes := append(t.settings.attributes[:len(t.settings.attributes):len(t.settings.attributes)],
		semconv.DBOperationName("commit"), semconv.DBOperationBatchSize(batch.Requests),
		BatchKey.Int64(int64(batch.Number)), RevisionKey.Int64(int64(batch.Revision)))
	_, span := t.tracer.Start(context.Background(), "commit", trace.WithNewRoot(), trace.WithTimestamp(batch.Began),
		trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(attributes...))
	if !batch.Committing.IsZero() {
		span.AddEvent("COMMIT", trace.WithTimestamp(batch.Committing))
	}
	span.End(trace.WithTimestamp(batch.Ended))
	return span.SpanContext()
}
