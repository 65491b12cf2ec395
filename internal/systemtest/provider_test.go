package systemtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/eventpro/boxoffice/internal/provider"
)

// wholeLedger is every charge and refund that the provider made.
func (s *system) wholeLedger(t *testing.T) []provider.Entry {
	t.Helper()
	var entries []provider.Entry
	eventually(t, "the ledger is read", func() error {
		entries = nil
		res, err := http.Get(url(s.provider) + "/v1/ledger?limit=50000")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("answered %s", res.Status)
		}
		lines := json.NewDecoder(res.Body)
		for {
			var e provider.Entry
			if err := lines.Decode(&e); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			entries = append(entries, e)
		}
	})
	return entries
}

// behave tells the provider how to misbehave from now on.
func (s *system) behave(t *testing.T, b provider.Behaviour) {
	t.Helper()
	body, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url(s.provider)+"/v1/behaviour", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		t.Fatalf("the provider answered %s: %s", res.Status, text)
	}
}
