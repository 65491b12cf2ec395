package clickhouse

import (
	"errors"
	"io"
)

// appendSize is how much of an insert's body is handed to the engine at once.
const appendSize = 256 << 10

// answerInsert runs an INSERT whose rows follow the statement in the body.
func (j *job) answerInsert(text []byte, s statement, rows io.Reader) error {
	writing, err := j.session.insert(text[:s.head], s.format, j.options.parameters)
	if err != nil {
		return err
	}
	if err := j.copyRows(writing, rows); err != nil {
		writing.cancel()
		return err
	}
	p, err := writing.finish()
	if err != nil {
		return err
	}
	j.answer.count(p)
	return j.session.checkWrites()
}

// copyRows hands over the rows. It stops early, without an error, when the engine has given up: finishing then tells why.
func (j *job) copyRows(writing *writing, rows io.Reader) error {
	buffer := make([]byte, appendSize)
	for {
		n, ended, err := fill(rows, buffer)
		if err != nil {
			return newException(codeIncorrectData, "INCORRECT_DATA", "The request's body ended early or is damaged: %v", err)
		}
		if !writing.append(buffer[:n]) || ended {
			return nil
		}
	}
}

// fill reads until buffer is full or r has ended. Unlike [io.ReadFull] it keeps the two ends of a stream apart: a decoder's
// io.ErrUnexpectedEOF, after which nothing may be inserted, is an error.
func fill(r io.Reader, buffer []byte) (n int, ended bool, err error) {
	for n < len(buffer) {
		more, err := r.Read(buffer[n:])
		n += more
		if errors.Is(err, io.EOF) {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}
