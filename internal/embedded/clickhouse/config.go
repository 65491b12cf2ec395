package clickhouse

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"path/filepath"
	"text/template"
)

// configuration is what the engine is told when it starts. Sizes are in bytes.
type configuration struct {
	File, LogFile string
	// MaxMemory bounds everything that the engine allocates; a query that would pass it is refused with MEMORY_LIMIT_EXCEEDED.
	MaxMemory int64
	// QueryMemory bounds one query, SpillMemory is where sorting and grouping go to disk, CacheMemory is the size of each cache that is on.
	QueryMemory, SpillMemory, CacheMemory int64
	// InsertBlock is the size up to which the rows of an insert are gathered before they become a part.
	InsertBlock int64
	// KeepFree is the disk space below which nothing is written; see [refusedWrites].
	KeepFree int64
	Threads  int
}

func newConfiguration(dir string, maxMemory int64, threads int) configuration {
	return configuration{
		File:        filepath.Join(dir, "engine.xml"),
		LogFile:     filepath.Join(dir, "engine.log"),
		MaxMemory:   maxMemory,
		QueryMemory: maxMemory * 6 / 10,
		SpillMemory: maxMemory / 5,
		CacheMemory: maxMemory / 40,
		InsertBlock: maxMemory / 12,
		KeepFree:    maxMemory / 6,
		Threads:     threads,
	}
}

// arguments start the engine on dataDir with this configuration. They have to be the same for every connection.
func (c configuration) arguments(dataDir string) []string {
	return []string{"clickhouse", "--path=" + dataDir, "--config-file=" + c.File}
}

// render returns the configuration file. One file serves as the server's and the users' configuration.
//
// The defaults of a server suppose tens of gigabytes: caches of 5 GB, pools of hundreds of threads (each with its stack and its arena in
// the allocator), merges of 150 GB. All of these are cut here. What keeps data over a kill -9: a part is written under a temporary name,
// then renamed, so that it is whole or absent; over a power cut: fsync_after_insert, and the directory's fsync.
//
// The grants leave out what must not come in over HTTP: SYSTEM SHUTDOWN and SYSTEM KILL, which signal the whole process group, and tables
// that read or write files, other servers and the web. The function file() has no grant of its own and still reads.
//
// The log leaves out executeQuery, since a failed statement's error goes to its client, and ThreadStatus, which complains about each
// streamed insert's thread without consequence. Times without a zone are UTC whatever the machine's zone is: the embedded engine does not
// read a server's timezone setting.
func (c configuration) render() ([]byte, error) {
	var b bytes.Buffer
	if err := configTemplate.Execute(&b, c); err != nil {
		return nil, fmt.Errorf("engine configuration: %w", err)
	}
	return b.Bytes(), nil
}

var configTemplate = template.Must(template.New("engine.xml").Funcs(template.FuncMap{"text": xmlText}).Parse(`<clickhouse>
  <log-level>error</log-level>
  <logger>
    <log>{{text .LogFile}}</log>
    <size>4M</size>
    <count>1</count>
    <levels>
      <executeQuery>none</executeQuery>
      <ThreadStatus>none</ThreadStatus>
    </levels>
  </logger>
  <users_config>{{text .File}}</users_config>

  <max_server_memory_usage>{{.MaxMemory}}</max_server_memory_usage>
  <merges_mutations_memory_usage_soft_limit>{{.SpillMemory}}</merges_mutations_memory_usage_soft_limit>
  <mark_cache_size>{{.CacheMemory}}</mark_cache_size>
  <index_mark_cache_size>{{.CacheMemory}}</index_mark_cache_size>
  <primary_index_cache_size>{{.CacheMemory}}</primary_index_cache_size>
  <query_condition_cache_size>{{.CacheMemory}}</query_condition_cache_size>
  <compiled_expression_cache_size>{{.CacheMemory}}</compiled_expression_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <mmap_cache_size>64</mmap_cache_size>
  <parquet_metadata_cache_size>0</parquet_metadata_cache_size>
  <iceberg_metadata_files_cache_size>0</iceberg_metadata_files_cache_size>
  <vector_similarity_index_cache_size>0</vector_similarity_index_cache_size>
  <text_index_tokens_cache_size>0</text_index_tokens_cache_size>
  <text_index_header_cache_size>0</text_index_header_cache_size>
  <text_index_postings_cache_size>0</text_index_postings_cache_size>

  <max_thread_pool_size>200</max_thread_pool_size>
  <max_thread_pool_free_size>8</max_thread_pool_free_size>
  <max_io_thread_pool_size>8</max_io_thread_pool_size>
  <max_active_parts_loading_thread_pool_size>4</max_active_parts_loading_thread_pool_size>
  <max_outdated_parts_loading_thread_pool_size>2</max_outdated_parts_loading_thread_pool_size>
  <max_unexpected_parts_loading_thread_pool_size>2</max_unexpected_parts_loading_thread_pool_size>
  <max_parts_cleaning_thread_pool_size>2</max_parts_cleaning_thread_pool_size>
  <max_backups_io_thread_pool_size>2</max_backups_io_thread_pool_size>
  <background_pool_size>2</background_pool_size>
  <background_merges_mutations_concurrency_ratio>1</background_merges_mutations_concurrency_ratio>
  <background_schedule_pool_size>4</background_schedule_pool_size>
  <background_common_pool_size>2</background_common_pool_size>

  <storage_configuration>
    <disks><default><keep_free_space_bytes>{{.KeepFree}}</keep_free_space_bytes></default></disks>
  </storage_configuration>
  <merge_tree>
    <fsync_after_insert>1</fsync_after_insert>
    <fsync_part_directory>1</fsync_part_directory>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    <max_bytes_to_merge_at_max_space_in_pool>4294967296</max_bytes_to_merge_at_max_space_in_pool>
    <merge_max_block_size_bytes>4194304</merge_max_block_size_bytes>
    <min_rows_to_fsync_after_merge>1</min_rows_to_fsync_after_merge>
    <old_parts_lifetime>20</old_parts_lifetime>
  </merge_tree>

  <profiles>
    <default>
      <max_threads>{{.Threads}}</max_threads>
      <max_insert_threads>1</max_insert_threads>
      <max_final_threads>{{.Threads}}</max_final_threads>
      <max_memory_usage>{{.QueryMemory}}</max_memory_usage>
      <max_bytes_before_external_sort>{{.SpillMemory}}</max_bytes_before_external_sort>
      <max_bytes_before_external_group_by>{{.SpillMemory}}</max_bytes_before_external_group_by>
      <min_insert_block_size_bytes>{{.InsertBlock}}</min_insert_block_size_bytes>
      <background_pool_size>2</background_pool_size>
      <log_queries>0</log_queries>
      <calculate_text_stack_trace>0</calculate_text_stack_trace>
      <session_timezone>UTC</session_timezone>
      <use_uncompressed_cache>0</use_uncompressed_cache>
      <local_filesystem_read_prefetch>0</local_filesystem_read_prefetch>
      <allow_introspection_functions>0</allow_introspection_functions>
    </default>
  </profiles>
  <users>
    <default>
      <password></password>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT SHOW, SELECT, INSERT, ALTER, CREATE, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, KILL QUERY, CHECK, dictGet, INTROSPECTION ON *.*</query>
        <query>GRANT SYSTEM VIEWS, SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM FLUSH, SYSTEM RELOAD, SYSTEM DROP CACHE ON *.*</query>
        <query>GRANT TABLE ENGINE ON *</query>
      </grants>
    </default>
  </users>
  <quotas><default></default></quotas>
</clickhouse>
`))

func xmlText(s string) (string, error) {
	var b bytes.Buffer
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}
