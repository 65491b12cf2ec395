package kafka

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// kfake frames the entries of its state logs, and we ours, as
//
//	length of what follows the checksum (4) | CRC-32C of it (4) | version (2) | JSON
//
// with little-endian numbers.
const (
	frameHeader  = 10
	frameVersion = 1
	versionBytes = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendFrame(dst []byte, entry any) ([]byte, error) {
	data, err := json.Marshal(entry)
	if err != nil {
		return dst, err
	}
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(versionBytes+len(data))) //nolint:gosec // entries are short
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint16(dst, frameVersion)
	dst = append(dst, data...)
	binary.LittleEndian.PutUint32(dst[start+4:], crc32.Checksum(dst[start+8:], castagnoli))
	return dst, nil
}

// readFrames calls fn for every whole entry of a log and returns how many bytes
// they take; what follows was torn.
func readFrames(raw []byte, fn func(data []byte) error) (whole int, err error) {
	for {
		rest := raw[whole:]
		if len(rest) < frameHeader {
			return whole, nil
		}
		length := int(binary.LittleEndian.Uint32(rest))
		if length < versionBytes || len(rest) < 8+length {
			return whole, nil
		}
		body := rest[8 : 8+length]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			return whole, nil
		}
		if v := binary.LittleEndian.Uint16(body); v != frameVersion {
			return whole, fmt.Errorf("entry at byte %d has version %d, this program knows version %d", whole, v, frameVersion)
		}
		if err := fn(body[versionBytes:]); err != nil {
			return whole, fmt.Errorf("entry at byte %d: %w", whole, err)
		}
		whole += 8 + length
	}
}

// readLog reads a log file and cuts a torn tail off it: kfake would append behind
// it and then never read on. A missing file is an empty one.
func readLog(path string, fn func(data []byte) error) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	whole, err := readFrames(raw, fn)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if whole < len(raw) {
		return os.Truncate(path, int64(whole))
	}
	return nil
}

// replaceFile writes a file in one step: a kill leaves the old one or the new one.
func replaceFile(path string, content []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// appendFile adds to the end of a file and syncs it.
func appendFile(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// removeIfThere removes a file that may be missing.
func removeIfThere(path string) error {
	if err := os.Remove(filepath.Clean(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
