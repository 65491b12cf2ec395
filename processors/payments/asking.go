package payments

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// A payment waits for at most one answer at a time: that to its charge, or,
// once it is captured, that to the first refund which has none yet. So one
// deadline is enough, and a cancel can never overtake a charge.

// Outstanding returns the gateway request that the payment waits for, as it
// would be sent at the given time, or nothing. Its attempt is the last one sent.
func (c Config) Outstanding(p *pb.Payment, now time.Time) []transition.Output {
	if request := c.withDefaults().request(p, now.UnixMilli()); request != nil {
		return []transition.Output{output(request)}
	}
	return nil
}

func output(request *pb.GatewayRequest) transition.Output {
	return transition.Output{Topic: topology.GatewayRequests.Name, Key: topology.KeyOf(request.PaymentId), Value: request}
}

// ask sends what the payment waits for and arms the alarm for the answer.
func (ch *change) ask() {
	p := ch.p
	p.DeadlineUnixMs = 0
	switch refund := nextRefund(p); {
	case p.Status == pb.PaymentStatus_PAYMENT_STATUS_PENDING:
		p.Attempts++
	case refund != nil:
		if refund.Attempts == 0 {
			// The key's life begins with the first request, however long the
			// refund waited for its turn.
			refund.RequestedAtUnixMs = ch.nowMs
		}
		refund.Attempts++
	default:
		return
	}
	p.AskedAtUnixMs = max(ch.nowMs, p.AskedAtUnixMs)
	p.DeadlineUnixMs = p.AskedAtUnixMs + ch.AnswerWithin.Milliseconds()
	ch.asked = ch.request(p, ch.nowMs)
}

// unknown arms the alarm for the next attempt after an answer that says
// nothing, and reports whether that changed anything: the earlier of two alarms
// stays, so that a repeated answer moves none (I5). The pause counts from when it
// was asked at the earliest: an alarm armed by the gateway's clock alone would be
// due at once where the owner's is ahead, and the provider called in a loop.
func (ch *change) unknown(attempt uint32) bool {
	due := max(ch.nowMs, ch.p.AskedAtUnixMs) + ch.backoff(ch.p.PaymentId, attempt).Milliseconds()
	if due >= ch.p.DeadlineUnixMs {
		return false
	}
	ch.p.DeadlineUnixMs = due
	return true
}

// request builds the request that the payment waits for; nil for none. Before
// the key's end it is the very same charge or refund again, later only a query
// (I3: a forgotten key would move the money twice).
func (c Config) request(p *pb.Payment, nowMs int64) *pb.GatewayRequest {
	r := &pb.GatewayRequest{
		PaymentId: p.PaymentId, EventId: p.EventId, Currency: p.Currency, TestMode: p.TestMode,
	}
	var firstMs int64
	switch refund := nextRefund(p); {
	case p.Status == pb.PaymentStatus_PAYMENT_STATUS_PENDING:
		r.Operation, r.IdempotencyKey, r.AmountMinor = pb.GatewayOperation_GATEWAY_OPERATION_CHARGE, p.PaymentId, p.AmountMinor
		r.Method, r.Attempt, firstMs = p.Method, p.Attempts, p.RequestedAtUnixMs
	case refund != nil:
		r.Operation, r.IdempotencyKey, r.AmountMinor = pb.GatewayOperation_GATEWAY_OPERATION_REFUND, refund.RefundId, refund.AmountMinor
		r.ProviderReference, r.Attempt, firstMs = p.ProviderReference, refund.Attempts, refund.RequestedAtUnixMs
	default:
		return nil
	}
	r.KeyExpiresUnixMs = firstMs + (c.KeyLifetime - c.KeyMargin).Milliseconds()
	if nowMs >= r.KeyExpiresUnixMs {
		r.Operation, r.KeyExpiresUnixMs = pb.GatewayOperation_GATEWAY_OPERATION_QUERY, 0
	}
	return r
}

// hopeless reports whether an unknown outcome ends the asking. Only the answer
// to a query can do that, so that a query was made however late the timers are; and
// when the query was made decides, not when its answer comes, so that an answer
// which comes again later says the same (I5).
func (c Config) hopeless(r *pb.GatewayResult, firstMs, askedMs int64) bool {
	return r.Operation == pb.GatewayOperation_GATEWAY_OPERATION_QUERY &&
		askedMs >= firstMs+(c.KeyLifetime+c.QueryFor).Milliseconds()
}

// nextRefund is the refund whose turn it is; nil when there is none, or as long
// as nothing is captured.
func nextRefund(p *pb.Payment) *pb.Refund {
	if p.Status != pb.PaymentStatus_PAYMENT_STATUS_CAPTURED {
		return nil
	}
	for _, r := range p.Refunds {
		if r.Status == pb.RefundStatus_REFUND_STATUS_PENDING {
			return r
		}
	}
	return nil
}

// backoff is the pause after the given attempt: it doubles up to RetryCap, and a
// part of up to a half of it is taken off, by the id, so that the payments of an
// outage do not all come back in the same moment.
func (c Config) backoff(id []byte, attempt uint32) time.Duration {
	pause := c.RetryCap
	if n := min(max(attempt, 1)-1, 62); c.RetryBase <= c.RetryCap>>n {
		pause = c.RetryBase << n
	}
	h := fnv.New32a()
	h.Write(id)
	h.Write(binary.BigEndian.AppendUint32(nil, attempt))
	return pause - time.Duration(uint64(pause/2)*uint64(h.Sum32()>>16)>>16)
}
