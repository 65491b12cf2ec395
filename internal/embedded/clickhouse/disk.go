package clickhouse

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"time"
)

// chDB's build of ClickHouse goes on when the operating system refuses a write (src/IO/WriteBufferFromFileDescriptor.cpp leaves the loop
// where ClickHouse throws): on a full disk it would acknowledge an insert whose part is cut short, and a merge would replace whole parts by
// a broken one. Three things stand against that:
//
//   - The engine keeps disk space free (keep_free_space_bytes), so that inserts and merges are refused, in order, before the disk is full.
//   - It counts refused writes. Before anything that changes data is acknowledged, the count has to be 0.
//   - A watch looks at the count, since merges write too. When it is not 0 the server ends. At the next start the engine puts parts whose
//     files are too short aside, and uses the parts that a broken merge was made of: they are kept for eight minutes.
const refusedWrites = "SELECT value FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteFailed' FORMAT TabSeparated"

// ErrDisk is what [Server.Serve] returns after the operating system has refused the engine a write. Once there is room again the data
// directory can be opened anew; what was acknowledged is there.
var ErrDisk = errors.New("the disk refused the ClickHouse engine a write (is it full?): make room and start again")

const (
	codeCannotWrite = 75
	diskWatchPeriod = time.Second
)

// checkWrites fails when a write of the engine was refused since it started.
func (s *session) checkWrites() error {
	count, _, err := s.run([]byte(refusedWrites), "TabSeparated", nil)
	if err != nil {
		return err
	}
	if n := strings.TrimSpace(string(count)); n != "" && n != "0" {
		return newException(codeCannotWrite, "CANNOT_WRITE_TO_FILE_DESCRIPTOR", "%v", ErrDisk)
	}
	return nil
}

// watchDisk returns [ErrDisk] when the engine was refused a write, nil when ctx ends.
func (e *engine) watchDisk(ctx context.Context) error {
	tick := time.NewTicker(diskWatchPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		refused := new(Exception)
		if err := e.checkWrites(); errors.As(err, &refused) && refused.Code == codeCannotWrite {
			return ErrDisk
		}
	}
}

func (e *engine) checkWrites() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s, err := e.newSession()
	if err != nil {
		return err
	}
	defer s.close()
	return s.checkWrites()
}
