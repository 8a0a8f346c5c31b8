# Each target is one file; replay.c gives it its seeds (contrib/fuzz links the fuzzer instead).
EXTRA_DIST += tests/fuzz/corpus/records
check_PROGRAMS += tests/fuzz/fuzz_records
TESTS += tests/fuzz/fuzz_records
tests_fuzz_fuzz_records_SOURCES = tests/fuzz/fuzz_records.c tests/fuzz/replay.c
tests_fuzz_fuzz_records_LDADD = libstore.a libbase.a
