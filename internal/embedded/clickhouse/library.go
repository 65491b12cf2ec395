package clickhouse

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// library is libchdb's C interface, as far as it is used. Handles are opaque pointers into the engine's heap.
// Results and insert streams have to be destroyed exactly once, connections closed exactly once.
type library struct {
	connect      func(argc int32, argv **byte) *unsafe.Pointer
	closeConn    func(conn *unsafe.Pointer)
	query        queryFunc
	streamQuery  queryFunc
	streamFetch  func(conn, stream unsafe.Pointer) unsafe.Pointer
	streamCancel func(conn, stream unsafe.Pointer)

	insert        queryFunc
	insertError   func(stream unsafe.Pointer) string
	insertAppend  func(stream, data unsafe.Pointer, size uint64) int32
	insertDone    func(stream unsafe.Pointer) unsafe.Pointer
	insertCancel  func(stream unsafe.Pointer)
	insertDestroy func(stream unsafe.Pointer)

	resultBuffer       func(result unsafe.Pointer) unsafe.Pointer
	resultLength       func(result unsafe.Pointer) uint64
	resultError        func(result unsafe.Pointer) string
	resultRows         func(result unsafe.Pointer) uint64
	resultReadRows     func(result unsafe.Pointer) uint64
	resultReadBytes    func(result unsafe.Pointer) uint64
	resultWrittenRows  func(result unsafe.Pointer) uint64
	resultWrittenBytes func(result unsafe.Pointer) uint64
	resultDestroy      func(result unsafe.Pointer)

	setSignalHandlers func(enabled int32)
	version           func() string
}

// queryFunc is the common signature of chdb_query_with_params_n and its streaming siblings:
// connection, statement, format and the parameters' names and values, each with its length.
type queryFunc func(conn, query unsafe.Pointer, queryLen uint64, format unsafe.Pointer, formatLen uint64,
	names, nameLens, values, valueLens unsafe.Pointer, count uint64) unsafe.Pointer

// symbols maps each C function to the field that calls it.
func (l *library) symbols() map[string]any {
	return map[string]any{
		"chdb_connect":                     &l.connect,
		"chdb_close_conn":                  &l.closeConn,
		"chdb_query_with_params_n":         &l.query,
		"chdb_stream_query_with_params_n":  &l.streamQuery,
		"chdb_stream_fetch_result":         &l.streamFetch,
		"chdb_stream_cancel_query":         &l.streamCancel,
		"chdb_stream_insert_with_params_n": &l.insert,
		"chdb_stream_insert_error":         &l.insertError,
		"chdb_stream_append":               &l.insertAppend,
		"chdb_stream_done":                 &l.insertDone,
		"chdb_stream_cancel_insert":        &l.insertCancel,
		"chdb_destroy_insert_stream":       &l.insertDestroy,
		"chdb_result_buffer":               &l.resultBuffer,
		"chdb_result_length":               &l.resultLength,
		"chdb_result_error":                &l.resultError,
		"chdb_result_rows_read":            &l.resultRows,
		"chdb_result_storage_rows_read":    &l.resultReadRows,
		"chdb_result_storage_bytes_read":   &l.resultReadBytes,
		"chdb_result_rows_written":         &l.resultWrittenRows,
		"chdb_result_bytes_written":        &l.resultWrittenBytes,
		"chdb_destroy_query_result":        &l.resultDestroy,
		"chdb_set_signal_handlers_enabled": &l.setSignalHandlers,
		"chdb_version":                     &l.version,
	}
}

// loaded is the process's one library: libchdb keeps its engine in global variables and cannot be unloaded.
var loaded struct {
	sync.Mutex
	path string
	lib  *library
}

// loadLibrary loads libchdb from path, once per process, and turns its signal handlers off, so that SIGSEGV, SIGBUS and the others
// stay Go's (a nil dereference is a panic, SIGQUIT prints goroutines). A missing function means a libchdb older than 26.7.
func loadLibrary(path string) (*library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.lib != nil {
		if loaded.path != path {
			return nil, fmt.Errorf("this process has already loaded %s and cannot load %s as well", loaded.path, path)
		}
		return loaded.lib, nil
	}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("cannot load the ClickHouse engine from %s: %w (bring it again with `make setup`, or set BOXOFFICE_CHDB_LIB)", path, err)
	}
	lib := new(library)
	for name, function := range lib.symbols() {
		address, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("%s has no %s: it is not libchdb %s or newer (bring it with `make setup`)", path, name, Version)
		}
		purego.RegisterFunc(function, address)
	}
	lib.setSignalHandlers(0)
	loaded.path, loaded.lib = path, lib
	return lib, nil
}

// open makes a connection. The first one starts the engine on the data directory that the arguments name, the last one closed stops it.
func (l *library) open(arguments []string) (*unsafe.Pointer, error) {
	argv := make([]*byte, len(arguments))
	for i, argument := range arguments {
		argv[i] = &append([]byte(argument), 0)[0]
	}
	conn := l.connect(int32(len(argv)), &argv[0])
	runtime.KeepAlive(argv)
	if conn == nil || *conn == nil {
		return nil, errors.New("the engine gives no connection")
	}
	return conn, nil
}

// call passes a statement to one of the query functions. The bytes are copied by the engine before it returns.
func call(function queryFunc, conn unsafe.Pointer, statement []byte, format string, parameters []Parameter) unsafe.Pointer {
	names, values := make([]*byte, len(parameters)), make([]*byte, len(parameters))
	nameLens, valueLens := make([]uint64, len(parameters)), make([]uint64, len(parameters))
	for i, p := range parameters {
		names[i], nameLens[i] = address([]byte(p.Name)), uint64(len(p.Name))
		values[i], valueLens[i] = address([]byte(p.Value)), uint64(len(p.Value))
	}
	formatBytes := []byte(format)
	result := function(conn, unsafe.Pointer(address(statement)), uint64(len(statement)), unsafe.Pointer(address(formatBytes)), uint64(len(formatBytes)),
		unsafe.Pointer(unsafe.SliceData(names)), unsafe.Pointer(unsafe.SliceData(nameLens)),
		unsafe.Pointer(unsafe.SliceData(values)), unsafe.Pointer(unsafe.SliceData(valueLens)), uint64(len(parameters)))
	runtime.KeepAlive(statement)
	runtime.KeepAlive(formatBytes)
	runtime.KeepAlive(names)
	runtime.KeepAlive(values)
	runtime.KeepAlive(nameLens)
	runtime.KeepAlive(valueLens)
	return result
}

// nothing is what an empty string points to: the engine refuses null pointers even where the length is 0.
var nothing = make([]byte, 1)

func address(b []byte) *byte {
	if len(b) == 0 {
		return &nothing[0]
	}
	return &b[0]
}
