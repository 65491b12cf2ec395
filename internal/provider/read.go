package provider

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// ReadLedger calls fn for every charge and refund in the ledger of the provider
// at baseURL ("http://host:port"), in the order of Seq, declined charges left
// out, and returns what fn returns. It ends when it has seen all that was there
// when its last page was read.
func ReadLedger(ctx context.Context, baseURL string, fn func(Entry) error) error {
	var after uint64
	for {
		last, err := readPage(ctx, baseURL, after, fn)
		if err != nil {
			return err
		}
		if last == after {
			return nil
		}
		after = last
	}
}

// readPage returns the seq of the page's last entry, or after when it is empty.
func readPage(ctx context.Context, baseURL string, after uint64, fn func(Entry) error) (uint64, error) {
	url := strings.TrimSuffix(baseURL, "/") + "/v1/ledger?limit=10000&after=" + strconv.FormatUint(after, 10)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, fmt.Errorf("reading the provider's ledger: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("reading the provider's ledger: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("reading the provider's ledger at %s: the answer is %s", url, resp.Status)
	}
	in := json.NewDecoder(bufio.NewReaderSize(resp.Body, 64<<10))
	for {
		var e Entry
		if err := in.Decode(&e); errors.Is(err, io.EOF) {
			return after, nil
		} else if err != nil {
			return 0, fmt.Errorf("reading the provider's ledger after entry %d: %w", after, err)
		}
		if e.Seq <= after {
			return 0, fmt.Errorf("the provider's ledger has entry %d after entry %d: it is out of order", e.Seq, after)
		}
		if err := fn(e); err != nil {
			return 0, err
		}
		after = e.Seq
	}
}
