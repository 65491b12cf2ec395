package clickhouse

import "io"

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
		n, err := fill(rows, buffer)
		if err != nil && err != io.EOF {
			return newException(codeIncorrectData, "INCORRECT_DATA", "The request's body ended early or is damaged: %v", err)
		}
		if !writing.append(buffer[:n]) || err == io.EOF {
			return nil
		}
	}
}

// fill reads until buffer is full. Unlike [io.ReadFull] it keeps the two ends of a stream apart: io.EOF is a good end, and a decoder's
// io.ErrUnexpectedEOF, after which nothing may be inserted, is not.
func fill(r io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var more int
		more, err = r.Read(buffer[n:])
		n += more
	}
	return n, err
}
