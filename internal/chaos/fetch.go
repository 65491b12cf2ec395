package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	fetchTimeout = 10 * time.Second
	// answerMax bounds an answer: a page of the ledger is 25 MB.
	answerMax = 64 << 20
)

// fetch makes one request and returns the answer, which must be a 200.
func fetch(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, answerMax))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s answered %s", method, url, res.Status)
	}
	return answer, err
}
