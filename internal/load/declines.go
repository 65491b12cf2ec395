package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// SetDeclines makes the simulated provider at providerURL decline that share of
// charges from now on; the seed decides which. The rest of its behaviour stays.
func SetDeclines(ctx context.Context, providerURL string, share float64, seed uint64) error {
	url := providerURL + "/v1/behaviour"
	behaviour := map[string]any{}
	if err := exchange(ctx, http.MethodGet, url, nil, &behaviour); err != nil {
		return fmt.Errorf("provider's behaviour: %w", err)
	}
	behaviour["decline_rate"], behaviour["seed"] = share, seed
	body, err := json.Marshal(behaviour)
	if err != nil {
		return fmt.Errorf("provider's behaviour: %w", err)
	}
	if err := exchange(ctx, http.MethodPut, url, body, &behaviour); err != nil {
		return fmt.Errorf("provider's behaviour: %w", err)
	}
	return nil
}

func exchange(ctx context.Context, method, url string, body []byte, answer any) error {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, lineMax))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %.200s", method, url, res.Status, text)
	}
	// Numbers stay as they are written: a seed may be larger than a float holds.
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(answer)
}
