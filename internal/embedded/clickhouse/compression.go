package clickhouse

import (
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// decoded returns the body without its Content-Encoding and without ClickHouse's own framing. HTTP's deflate is zlib.
func decoded(body io.Reader, encoding string, framed bool) (io.Reader, error) {
	reader, err := httpDecoder(body, encoding)
	if err != nil {
		return nil, newException(codeIncorrectData, "INCORRECT_DATA", "The request's body is not valid %s: %v", encoding, err)
	}
	if framed {
		counted := &countingReader{r: reader}
		return &framedReader{source: counted, blocks: compress.NewReader(counted)}, nil
	}
	return reader, nil
}

// framedReader reads ClickHouse's own compression. The decoder calls every end of its input io.EOF, also one inside of a block.
type framedReader struct {
	source *countingReader
	blocks *compress.Reader
}

func (f *framedReader) Read(p []byte) (int, error) {
	before := f.source.n
	n, err := f.blocks.Read(p)
	switch {
	case !errors.Is(err, io.EOF):
		return n, err
	case f.source.n > before:
		return n, io.ErrUnexpectedEOF
	default:
		return n, io.EOF
	}
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// decoderMemory bounds a zstd window, which the sender chooses.
const decoderMemory = 64 << 20

func httpDecoder(body io.Reader, encoding string) (io.Reader, error) {
	switch strings.ToLower(encoding) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(body)
	case "deflate":
		return zlib.NewReader(body)
	case "br":
		return brotli.NewReader(body), nil
	case "zstd":
		d, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(decoderMemory))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case "lz4":
		return lz4.NewReader(body), nil
	default:
		return nil, fmt.Errorf("unknown Content-Encoding %q: use gzip, deflate, br, zstd or lz4", encoding)
	}
}

// chooseEncoding picks the first encoding of an Accept-Encoding header that can be written, empty for none.
func chooseEncoding(accept string) string {
	for part := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.ReplaceAll(parameters, " ", "") == "q=0" {
			continue
		}
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "gzip", "deflate", "br", "zstd", "lz4":
			return name
		}
	}
	return ""
}

// httpEncoder compresses what is written to it. Speed is preferred to size: the client is near.
func httpEncoder(w io.Writer, encoding string) (io.WriteCloser, error) {
	switch encoding {
	case "gzip":
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	case "deflate":
		return zlib.NewWriterLevel(w, zlib.BestSpeed)
	case "br":
		return brotli.NewWriterLevel(w, brotli.BestSpeed), nil
	case "zstd":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	case "lz4":
		return lz4.NewWriter(w), nil
	default:
		return nopCloser{w}, nil
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// frameSize is how much goes into one block of ClickHouse's own compression, as in the server.
const frameSize = 1 << 20

// framedWriter writes ClickHouse's own compression: blocks with a checksum, a method and two lengths.
type framedWriter struct {
	w       io.Writer
	encoder *compress.Writer
}

func newFramedWriter(w io.Writer, codec string) (*framedWriter, error) {
	method := compress.LZ4
	switch codec {
	case "LZ4", "":
	case "LZ4HC":
		method = compress.LZ4HC
	case "ZSTD":
		method = compress.ZSTD
	case "NONE":
		method = compress.None
	default:
		return nil, newException(codeBadArguments, "BAD_ARGUMENTS", "network_compression_method is %q: use LZ4, LZ4HC, ZSTD or NONE", codec)
	}
	return &framedWriter{w: w, encoder: compress.NewWriter(compress.LevelZero, method)}, nil
}

func (f *framedWriter) Write(p []byte) (int, error) {
	for written := 0; written < len(p); {
		piece := p[written:min(written+frameSize, len(p))]
		if err := f.encoder.Compress(piece); err != nil {
			return written, err
		}
		if _, err := f.w.Write(f.encoder.Data); err != nil {
			return written, err
		}
		written += len(piece)
	}
	return len(p), nil
}
