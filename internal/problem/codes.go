package problem

import (
	"net/http"

	"connectrpc.com/connect"
)

// Code names a kind of problem. Codes are part of the interface: they never
// change their meaning and are never reused.
type Code string

// The codes, in the order of their HTTP status.
const (
	MalformedJSON         Code = "malformed_json"
	IdempotencyKeyMissing Code = "idempotency_key_missing"
	IdempotencyKeyInvalid Code = "idempotency_key_invalid"
	InvalidParameter      Code = "invalid_parameter"
	APIKeyMissing         Code = "api_key_missing"
	APIKeyUnknown         Code = "api_key_unknown"
	ScopeMissing          Code = "scope_missing"
	RouteUnknown          Code = "route_unknown"
	EventUnknown          Code = "event_unknown"
	RegistrationUnknown   Code = "registration_unknown"
	PaymentUnknown        Code = "payment_unknown"
	AttendeeUnknown       Code = "attendee_unknown"
	ReportUnknown         Code = "report_unknown"
	MethodNotAllowed      Code = "method_not_allowed"
	IdempotencyKeyReused  Code = "idempotency_key_reused"
	SaleNotStarted        Code = "sale_not_started"
	SaleEnded             Code = "sale_ended"
	EventCancelled        Code = "event_cancelled"
	EventOpening          Code = "event_opening"
	CommandRejected       Code = "command_rejected"
	BodyTooLarge          Code = "body_too_large"
	ContentTypeUnknown    Code = "content_type_unsupported"
	InvalidRequest        Code = "invalid_request"
	ReportTooLarge        Code = "report_too_large"
	Overloaded            Code = "overloaded"
	Internal              Code = "internal"
	KafkaUnavailable      Code = "kafka_unavailable"
	ViewRecovering        Code = "view_recovering"
	ShuttingDown          Code = "shutting_down"
	ReportsBusy           Code = "reports_busy"
	ReportsUnavailable    Code = "reports_unavailable"
	WaitTimedOut          Code = "wait_timed_out"
	ReportTimedOut        Code = "report_timed_out"
)

// Definition is what the catalogue says of a code.
type Definition struct {
	Code Code
	// Status is the HTTP status that the code travels with.
	Status int
	// RPC is the code that it travels with over gRPC and Connect.
	RPC connect.Code
	// Title says what the code means, the same for every occurrence.
	Title string
	// Remedy says what the caller does about it.
	Remedy string
	// RetryAfterSeconds is the default of the Retry-After header; 0 means that
	// repeating the request unchanged does not help.
	RetryAfterSeconds int
}

var catalogue = []Definition{
	{
		Code: MalformedJSON, Status: http.StatusBadRequest, RPC: connect.CodeInvalidArgument,
		Title: "The body is not valid JSON.", Remedy: "Correct the body at the byte that the detail names.",
	},
	{
		Code: IdempotencyKeyMissing, Status: http.StatusBadRequest, RPC: connect.CodeInvalidArgument,
		Title:  "The request needs an idempotency key.",
		Remedy: "Send a key of your own choice that stands for this one intent (header Idempotency-Key, or the field idempotency_key), and repeat it when you repeat the request.",
	},
	{
		Code: IdempotencyKeyInvalid, Status: http.StatusBadRequest, RPC: connect.CodeInvalidArgument,
		Title: "The idempotency key is not usable.", Remedy: "Use 1 to 255 visible ASCII characters, for example a UUID.",
	},
	{
		Code: InvalidParameter, Status: http.StatusBadRequest, RPC: connect.CodeInvalidArgument,
		Title: "A part of the URL is not valid.", Remedy: "Correct the path or query parameter that the violations name.",
	},
	{
		Code: APIKeyMissing, Status: http.StatusUnauthorized, RPC: connect.CodeUnauthenticated,
		Title: "The request carries no API key.", Remedy: "Send the header Authorization: Bearer <key>.",
	},
	{
		Code: APIKeyUnknown, Status: http.StatusUnauthorized, RPC: connect.CodeUnauthenticated,
		Title: "The API key is unknown or has expired.", Remedy: "Use a key that is listed in the key file, or make one with `boxoffice keys`.",
	},
	{
		Code: ScopeMissing, Status: http.StatusForbidden, RPC: connect.CodePermissionDenied,
		Title: "The API key may not do this.", Remedy: "Use a key that has the scope that the detail names.",
	},
	{
		Code: RouteUnknown, Status: http.StatusNotFound, RPC: connect.CodeUnimplemented,
		Title: "There is nothing at this path.", Remedy: "See GET /openapi.yaml for the paths that exist.",
	},
	{
		Code: EventUnknown, Status: http.StatusNotFound, RPC: connect.CodeNotFound,
		Title: "The event does not exist, or belongs to another organiser.", Remedy: "Check the event id and the key's organiser.",
	},
	{
		Code: RegistrationUnknown, Status: http.StatusNotFound, RPC: connect.CodeNotFound,
		Title:  "The registration does not exist, or belongs to another organiser.",
		Remedy: "Check the id; right after a 202, wait for the position that it carried.",
	},
	{
		Code: PaymentUnknown, Status: http.StatusNotFound, RPC: connect.CodeNotFound,
		Title: "The payment does not exist, or belongs to another organiser.", Remedy: "Check the id; a free order has no payment.",
	},
	{
		Code: AttendeeUnknown, Status: http.StatusNotFound, RPC: connect.CodeNotFound,
		Title: "The attendee does not exist, or has no registration with this organiser.", Remedy: "Check the attendee id.",
	},
	{
		Code: ReportUnknown, Status: http.StatusNotFound, RPC: connect.CodeNotFound,
		Title: "There is no report of this name.", Remedy: "See GET /v1/reports for the reports that exist.",
	},
	{
		Code: MethodNotAllowed, Status: http.StatusMethodNotAllowed, RPC: connect.CodeUnimplemented,
		Title: "The path does not take this method.", Remedy: "Use one of the methods in the Allow header.",
	},
	{
		Code: IdempotencyKeyReused, Status: http.StatusConflict, RPC: connect.CodeAlreadyExists,
		Title:  "The idempotency key was used before with another body.",
		Remedy: "Look at the resource that the instance names: the first body in the log counts. For a new intent use a new key.",
	},
	{
		Code: SaleNotStarted, Status: http.StatusConflict, RPC: connect.CodeFailedPrecondition,
		Title: "The sale of this event has not started yet.", Remedy: "Come back when the sale starts; the detail says when.",
	},
	{
		Code: SaleEnded, Status: http.StatusConflict, RPC: connect.CodeFailedPrecondition,
		Title: "The sale of this event is over.", Remedy: "Nothing can be bought any more. A request that may have been accepted earlier can be looked up at the instance.",
	},
	{
		Code: EventCancelled, Status: http.StatusConflict, RPC: connect.CodeFailedPrecondition,
		Title: "The event was cancelled.", Remedy: "Nothing can be bought any more; what was bought is refunded without being asked.",
	},
	{
		Code: EventOpening, Status: http.StatusConflict, RPC: connect.CodeUnavailable, RetryAfterSeconds: 1,
		Title: "The event was created a moment ago and its places are still being opened.", Remedy: "Repeat the request after Retry-After.",
	},
	{
		Code: CommandRejected, Status: http.StatusConflict, RPC: connect.CodeFailedPrecondition,
		Title: "The command was recorded and refused.", Remedy: "The detail carries the reason; correct it and send a new command.",
	},
	{
		Code: BodyTooLarge, Status: http.StatusRequestEntityTooLarge, RPC: connect.CodeResourceExhausted,
		Title: "The body is larger than the limit.", Remedy: "Send at most the size that the detail names; many registrations go through POST /v1/registrations:batch.",
	},
	{
		Code: ContentTypeUnknown, Status: http.StatusUnsupportedMediaType, RPC: connect.CodeInvalidArgument,
		Title: "The body has a content type that the path does not take.", Remedy: "Send the content type that the detail names.",
	},
	{
		Code: InvalidRequest, Status: http.StatusUnprocessableEntity, RPC: connect.CodeInvalidArgument,
		Title: "The request is well-formed, but fields are missing or wrong.", Remedy: "Correct every field that the violations list.",
	},
	{
		Code: ReportTooLarge, Status: http.StatusUnprocessableEntity, RPC: connect.CodeResourceExhausted,
		Title: "The report has more rows, or takes more memory, than one answer may.", Remedy: "Ask for a shorter period, one event or one currency; or make it with `boxoffice report`.",
	},
	{
		Code: Overloaded, Status: http.StatusTooManyRequests, RPC: connect.CodeResourceExhausted, RetryAfterSeconds: 1,
		Title: "More comes in than can be written right now. Nothing was accepted.", Remedy: "Repeat the request with the same idempotency key after Retry-After.",
	},
	{
		Code: Internal, Status: http.StatusInternalServerError, RPC: connect.CodeInternal,
		Title: "Something that should not happen did.", Remedy: "Repeat the request with the same idempotency key; if it persists, tell the operators the time and the path.",
	},
	{
		Code: KafkaUnavailable, Status: http.StatusServiceUnavailable, RPC: connect.CodeUnavailable, RetryAfterSeconds: 2,
		Title:  "Kafka did not acknowledge the command in time, so it is not accepted as far as this instance knows.",
		Remedy: "Repeat the request with the same idempotency key after Retry-After: should the first one have been written after all, it counts once. The instance, where there is one, tells whether it was.",
	},
	{
		Code: ViewRecovering, Status: http.StatusServiceUnavailable, RPC: connect.CodeUnavailable, RetryAfterSeconds: 1,
		Title: "The tables that the answer needs are still being read.", Remedy: "Repeat the request after Retry-After.",
	},
	{
		Code: ShuttingDown, Status: http.StatusServiceUnavailable, RPC: connect.CodeUnavailable, RetryAfterSeconds: 1,
		Title: "This instance is shutting down.", Remedy: "Repeat the request with the same idempotency key; another instance takes it.",
	},
	{
		Code: ReportsBusy, Status: http.StatusServiceUnavailable, RPC: connect.CodeResourceExhausted, RetryAfterSeconds: 5,
		Title: "As many reports are being made as this instance makes at once.", Remedy: "Repeat the request after Retry-After.",
	},
	{
		Code: ReportsUnavailable, Status: http.StatusServiceUnavailable, RPC: connect.CodeUnavailable, RetryAfterSeconds: 5,
		Title: "The analytics database does not answer.", Remedy: "Repeat the request after Retry-After; sales go on without it.",
	},
	{
		Code: WaitTimedOut, Status: http.StatusGatewayTimeout, RPC: connect.CodeDeadlineExceeded, RetryAfterSeconds: 1,
		Title: "The position that was waited for has not become visible in time.", Remedy: "Ask again; the command was accepted and will be processed.",
	},
	{
		Code: ReportTimedOut, Status: http.StatusGatewayTimeout, RPC: connect.CodeDeadlineExceeded,
		Title: "The report took longer than one answer may.", Remedy: "Ask for a shorter period, one event or one currency; or make it with `boxoffice report`.",
	},
}

var byCode = func() map[Code]*Definition {
	m := make(map[Code]*Definition, len(catalogue))
	for i := range catalogue {
		m[catalogue[i].Code] = &catalogue[i]
	}
	return m
}()

// Catalogue returns every code with its meaning, ordered by HTTP status.
func Catalogue() []Definition { return append([]Definition(nil), catalogue...) }

// Define returns what the catalogue says of a code; an unknown code counts as
// internal.
func Define(code Code) Definition {
	if d, ok := byCode[code]; ok {
		return *d
	}
	return *byCode[Internal]
}
