package testsystem

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/eventpro/boxoffice/internal/verify"
)

// BooksHold waits until every invariant holds: those of the topics and the ledger,
// and of ClickHouse where the options name one.
func (s *System) BooksHold(o verify.Options) {
	s.tb.Helper()
	o.Brokers, o.ProviderURL, o.Logger = s.Brokers, s.ProviderURL, slog.New(slog.DiscardHandler)
	s.Eventually("the books are right", func() error {
		report, err := verify.Run(s.tb.Context(), o)
		if err != nil {
			return err
		}
		if !report.OK() {
			var text strings.Builder
			_, err = report.WriteTo(&text)
			return errors.Join(errors.New(text.String()), err)
		}
		return nil
	})
}
