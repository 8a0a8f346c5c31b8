# Whole sessions: mem_net.c and mem_store.c come before the libraries whose place they take.
SESSION_FUZZ = tests/fuzz/fuzz_session tests/fuzz/fuzz_upstream
SESSION_FUZZ_SOURCES = tests/fuzz/mem.h tests/fuzz/mem_host.c tests/fuzz/mem_host.h tests/fuzz/mem_net.c tests/fuzz/mem_store.c \
	tests/fuzz/fuzz.h tests/fuzz/replay.c
check_PROGRAMS += $(SESSION_FUZZ)
TESTS += $(SESSION_FUZZ)
tests_fuzz_fuzz_session_SOURCES = tests/fuzz/fuzz_session.c $(SESSION_FUZZ_SOURCES)
tests_fuzz_fuzz_session_LDADD = $(wherryd_LDADD)
tests_fuzz_fuzz_upstream_SOURCES = tests/fuzz/fuzz_upstream.c $(SESSION_FUZZ_SOURCES)
tests_fuzz_fuzz_upstream_LDADD = $(wherryd_LDADD)
