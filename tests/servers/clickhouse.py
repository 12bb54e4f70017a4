#!/usr/bin/env python3
"""A real ClickHouse server without a container: the engine in PyPI's chdb-core listens for HTTP once it is told to.

  clickhouse.py FOLDER PORT

Runs with the Python of the environment that holds chdb-core. One server per process and folder. It answers on loopback until
it is killed; killed by whatever signal, its folder is what a crash of ClickHouse leaves. There is no Keeper, so no
Replicated tables, and no users but `default`, without a password.
"""
import importlib.util
import os
import pathlib
import sys
import sysconfig

folder, port = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2])
(folder / "users.xml").write_text("""<clickhouse>
  <!-- Not UTC, so that a time without a zone shows. -->
  <profiles><default><session_timezone>Asia/Kolkata</session_timezone></default></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
    <access_management>1</access_management>
  </default></users>
</clickhouse>""")
(folder / "config.xml").write_text(f"""<clickhouse>
  <http_port>{port}</http_port>
  <listen_host>127.0.0.1</listen_host>
  <path>{folder}/</path>
  <tmp_path>{folder}/tmp/</tmp_path>
  <user_files_path>{folder}/user_files/</user_files_path>
  <users_config>{folder}/users.xml</users_config>
  <mark_cache_size>134217728</mark_cache_size>
  <max_server_memory_usage>4000000000</max_server_memory_usage>
  <!-- What a server notes about itself only costs time here. -->
  <query_log remove="1"/><part_log remove="1"/><trace_log remove="1"/><metric_log remove="1"/>
</clickhouse>""")

# The engine looks for its config.xml here.
os.chdir(folder)
# The package itself would want pandas; the engine inside needs nothing.
library = pathlib.Path(sysconfig.get_paths()["purelib"]) / "chdb" / "_chdb.abi3.so"
spec = importlib.util.spec_from_file_location("_chdb", library)
engine = importlib.util.module_from_spec(spec)
spec.loader.exec_module(engine)
# The engine lives as long as its query runs: one that never ends.
stay = """SELECT sleepEachRow(1) FROM numbers(1000000000) FORMAT Null
SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, max_execution_time = 0"""
answer = engine.query(f"SYSTEM START LISTEN HTTP; {stay}", "TSV", path=str(folder))
sys.exit(answer.error_message() if answer.has_error() else "the server ended by itself")
