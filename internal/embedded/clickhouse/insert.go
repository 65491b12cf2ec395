package clickhouse

import (
	"errors"
	"io"
	"time"
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
	j.answer.count(p)
	return err
}

// copyRows hands over the rows. It stops early, without an error, when the engine has given up: finishing then tells why.
func (j *job) copyRows(writing *writing, rows io.Reader) error {
	buffer := make([]byte, appendSize)
	for {
		// A client that stops sending must not keep a worker for ever. Not every connection has a deadline; then there is none.
		_ = j.answer.controller.SetReadDeadline(time.Now().Add(clientTimeout))
		n, err := io.ReadFull(rows, buffer)
		if !writing.append(buffer[:n]) {
			return nil
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && j.bodyEnded():
			return nil
		default:
			return newException(codeIncorrectData, "INCORRECT_DATA", "The request's body ended early or is damaged: %v", err)
		}
	}
}
