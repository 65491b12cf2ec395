package ingest

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/currency"

	"github.com/eventpro/boxoffice/internal/problem"
)

// Limits of single fields. Prices times quantities times tax rates stay far
// inside an int64 (10^11 x 10 x 10^4 = 10^16).
const (
	keyCharsMax      = 255
	textBytesMax     = 300
	emailBytesMax    = 254
	slugBytesMax     = 40
	reasonBytesMax   = 64
	tokenCharsMax    = 128
	linesMax         = 10
	quantityMax      = 10
	ticketTypesMax   = 50
	capacityMax      = 1_000_000
	blocksMax        = 10_000
	blockSizeMax     = 64
	blockSizeDefault = 50
	priceMinorMax    = 100_000_000_000
	perAttendeeMax   = 10_000
)

// checker collects every violation of a request instead of stopping at the
// first.
type checker struct {
	violations []problem.Violation
}

func (c *checker) add(field, code, format string, args ...any) {
	c.violations = append(c.violations, problem.Violation{Field: field, Code: code, Message: fmt.Sprintf(format, args...)})
}

// err returns the collected violations as one problem, nil when there is none.
func (c *checker) err() error {
	if len(c.violations) == 0 {
		return nil
	}
	return problem.Invalid(c.violations...)
}

// text checks a text for people.
func (c *checker) text(field, value string, required bool) {
	switch {
	case value == "" && required, value != "" && strings.TrimSpace(value) == "":
		c.add(field, problem.Required, "must be there")
	case len(value) > textBytesMax:
		c.add(field, problem.TooLong, "must have at most %d bytes", textBytesMax)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		c.add(field, problem.BadFormat, "must be text without control characters")
	}
}

// slug checks a name for programs: [a-z0-9-]{1,40}.
func (c *checker) slug(field, value string, required bool) {
	switch {
	case value == "" && required:
		c.add(field, problem.Required, "must be there")
	case len(value) > slugBytesMax:
		c.add(field, problem.TooLong, "must have at most %d characters", slugBytesMax)
	case !isSlug(value):
		c.add(field, problem.BadFormat, "must be made of a-z, 0-9 and -")
	}
}

func isSlug(s string) bool {
	for _, r := range []byte(s) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

// reason checks a stable code for programs: [a-z0-9_]{0,64}. It is no text for
// people, because it ends in events, where personal data must not be.
func (c *checker) reason(field, value string) {
	if len(value) > reasonBytesMax || !isSlug(strings.ReplaceAll(value, "_", "-")) || strings.Contains(value, "-") {
		c.add(field, problem.BadFormat, "must be a code of at most %d of a-z, 0-9 and _, for example by_attendee", reasonBytesMax)
	}
}

// between checks a number against its bounds, both included.
func (c *checker) between(field string, value, low, high int64) {
	if value < low || value > high {
		c.add(field, problem.OutOfRange, "must be %d to %d", low, high)
	}
}

// email checks what can be known of an address without writing to it.
func (c *checker) email(field, value string) {
	local, domain, ok := strings.Cut(value, "@")
	switch {
	case value == "":
		c.add(field, problem.Required, "must be there")
	case len(value) > emailBytesMax:
		c.add(field, problem.TooLong, "must have at most %d characters", emailBytesMax)
	case !ok || local == "" || len(local) > 64 || strings.ContainsAny(value, " ,;<>\"()\\") ||
		strings.Contains(domain, "@") || !strings.Contains(strings.Trim(domain, "."), ".") ||
		strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") ||
		!utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		c.add(field, problem.BadFormat, "must be an e-mail address like name@example.com")
	}
}

// paymentMethod checks that a token is one: card numbers must never come here.
func (c *checker) paymentMethod(field, value string) {
	switch {
	case len(value) > tokenCharsMax:
		c.add(field, problem.TooLong, "must have at most %d characters", tokenCharsMax)
	case !isVisibleASCII(value):
		c.add(field, problem.BadFormat, "must be visible ASCII characters")
	case looksLikeCardNumber(value):
		c.add(field, problem.BadFormat, "must be the provider's token, never a card number")
	}
}

func looksLikeCardNumber(s string) bool {
	digits, sum := 0, 0
	for i := len(s) - 1; i >= 0; i-- {
		switch r := s[i]; {
		case r >= '0' && r <= '9':
			n := int(r - '0')
			if digits%2 == 1 {
				n *= 2
				if n > 9 {
					n -= 9
				}
			}
			sum += n
			digits++
		case r != ' ' && r != '-':
			return false
		}
	}
	return digits >= 13 && digits <= 19 && sum%10 == 0
}

func isVisibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func (c *checker) currency(field, value string) {
	if value == "" {
		c.add(field, problem.Required, "must be there")
		return
	}
	if unit, err := currency.ParseISO(value); err != nil || unit.String() != value {
		c.add(field, problem.BadFormat, "must be an ISO 4217 code like EUR")
	}
}

// checkIdempotencyKey tells a missing key from one that cannot be used.
func checkIdempotencyKey(key string) error {
	switch {
	case key == "":
		return problem.New(problem.IdempotencyKeyMissing,
			"Send an idempotency key (header Idempotency-Key, in a batch the field idempotency_key), so that a repeated request counts once.")
	case len(key) > keyCharsMax || !isVisibleASCII(key):
		return problem.New(problem.IdempotencyKeyInvalid, "The idempotency key must be 1 to %d visible ASCII characters.", keyCharsMax)
	}
	return nil
}
