package writer

import (
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/kv"
)

// Submit is Apply for a caller that can't wait: it fails with kv.BusyError while the
// store is at its limit of requests in flight. What came of the request is told to to,
// by the goroutine that answers it. Mutations of one goroutine are applied in the order of its
// calls.
//
// A writer that has stopped answers nothing: when Done is closed, and what was submitted
// has not been answered, it will never be (see admission.Request.Abandon).
func (r Ref) Submit(m kv.Mutation, to admission.Answerer) (*admission.Request, error) {
	request, err := r.gate.TryAdmit(m, to)
	if err != nil {
		return nil, err
	}
	r.to.Send(apply{request})
	return request, nil
}
