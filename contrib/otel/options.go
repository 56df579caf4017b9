package otelstore

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// scope is the name of the instrumentation scope.
const scope = "forge.lthn.ai/core/go-store/contrib/otel"

// systemName is what semantic conventions call the database.
var systemName = semconv.DBSystemNameKey.String("go-store")

// Attributes of ours, beside those of the semantic conventions.
const (
	// ResultKey is what came of a request: "ok", "not_found", …
	ResultKey = attribute.Key("gostore.result")
	// RevisionKey is the last revision that a commit has made.
	RevisionKey = attribute.Key("gostore.revision")
	// BatchKey is the number of the commit that a request was in, counted from when the store
	// was opened.
	BatchKey = attribute.Key("gostore.batch")
	// NamespaceKey is the namespace of the handle that a write came through, or that a quota is of.
	NamespaceKey = attribute.Key("gostore.namespace")
)

// Option changes what NewProducer, Register and NewTracer tell. Nil ones change nothing.
type Option func(*settings)

type settings struct {
	attributes []attribute.KeyValue
	groups     bool
	errors     bool
}

// WithAttributes adds attributes to every figure and span: the name of the store, where a
// program has several (semconv.DBNamespace).
func WithAttributes(attributes ...attribute.KeyValue) Option {
	return func(s *settings) { s.attributes = append(s.attributes, attributes...) }
}

// WithGroups has spans name the group that a request is about, as db.collection.name. By default
// they don't: there may be one for each of your users.
func WithGroups() Option { return func(s *settings) { s.groups = true } }

// WithErrors has spans carry the texts of errors, which may name groups and keys. By default
// they carry what kind of error it is (error.type).
func WithErrors() Option { return func(s *settings) { s.errors = true } }

func settingsOf(options []Option) (s settings) {
	for _, option := range options {
		if option != nil {
			option(&s)
		}
	}
	s.attributes = slices.Clip(append([]attribute.KeyValue{systemName}, s.attributes...))
	return s
}
