package load

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// sendSingly sends registrations one by one until there are none any more.
func (r *run) sendSingly(ctx context.Context) {
	for {
		n, intended, ok := r.pace.take(ctx)
		if !ok {
			return
		}
		request := r.plan.Request(n)
		id, err := r.register(ctx, &request)
		if err != nil {
			r.refused(ctx, err)
			continue
		}
		r.accepted(&request, id, intended, time.Now())
	}
}

func (r *run) register(ctx context.Context, request *Request) (uuid.UUID, error) {
	buf := r.door.buffer()
	defer r.door.reuse(buf)
	buf.body = append(buf.body[:0], '{')
	buf.body = append(r.plan.AppendBody(buf.body, r.eventText, request), '}')
	key := string(r.plan.AppendKey(nil, request.Index))
	if _, err := r.door.insist(ctx, "/v1/registrations", key, jsonType, buf); err != nil {
		return uuid.UUID{}, err
	}
	return idIn(buf.answer.Bytes(), "registration_id")
}
