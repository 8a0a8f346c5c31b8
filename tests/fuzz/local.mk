# Each target is one file; replay.c gives it its seeds (contrib/fuzz links the fuzzer instead).
EXTRA_DIST += tests/fuzz/corpus contrib/fuzz
IMAP_FUZZ = tests/fuzz/fuzz_cmd tests/fuzz/fuzz_lex tests/fuzz/fuzz_names tests/fuzz/fuzz_resp \
	tests/fuzz/fuzz_set tests/fuzz/fuzz_uidmap
check_PROGRAMS += $(IMAP_FUZZ) tests/fuzz/fuzz_records
TESTS += $(IMAP_FUZZ) tests/fuzz/fuzz_records
tests_fuzz_fuzz_records_SOURCES = tests/fuzz/fuzz_records.c tests/fuzz/replay.c
tests_fuzz_fuzz_records_LDADD = libstore.a libbase.a
IMAP_FUZZ_LIBS = libimap.a libbase.a
tests_fuzz_fuzz_cmd_SOURCES = tests/fuzz/fuzz_cmd.c tests/fuzz/fuzz.h tests/fuzz/replay.c
tests_fuzz_fuzz_cmd_LDADD = $(IMAP_FUZZ_LIBS)
tests_fuzz_fuzz_lex_SOURCES = tests/fuzz/fuzz_lex.c tests/fuzz/fuzz.h tests/fuzz/replay.c
tests_fuzz_fuzz_lex_LDADD = $(IMAP_FUZZ_LIBS)
tests_fuzz_fuzz_names_SOURCES = tests/fuzz/fuzz_names.c tests/fuzz/fuzz.h tests/fuzz/replay.c
tests_fuzz_fuzz_names_LDADD = $(IMAP_FUZZ_LIBS)
tests_fuzz_fuzz_resp_SOURCES = tests/fuzz/fuzz_resp.c tests/fuzz/fuzz.h tests/fuzz/replay.c
tests_fuzz_fuzz_resp_LDADD = $(IMAP_FUZZ_LIBS)
tests_fuzz_fuzz_set_SOURCES = tests/fuzz/fuzz_set.c tests/fuzz/fuzz.h tests/fuzz/replay.c
tests_fuzz_fuzz_set_LDADD = $(IMAP_FUZZ_LIBS)
tests_fuzz_fuzz_uidmap_SOURCES = tests/fuzz/fuzz_uidmap.c tests/fuzz/fuzz.h tests/fuzz/replay.c
tests_fuzz_fuzz_uidmap_LDADD = $(IMAP_FUZZ_LIBS)
FRONT_FUZZ = tests/fuzz/fuzz_reply tests/fuzz/fuzz_translate
check_PROGRAMS += $(FRONT_FUZZ)
TESTS += $(FRONT_FUZZ)
tests_fuzz_fuzz_reply_SOURCES = tests/fuzz/fuzz_reply.c tests/fuzz/fuzz.h tests/fuzz/replay.c
tests_fuzz_fuzz_reply_LDADD = libfront.a libimap.a libbase.a
tests_fuzz_fuzz_translate_SOURCES = tests/fuzz/fuzz_translate.c tests/fuzz/fuzz.h tests/fuzz/replay.c
tests_fuzz_fuzz_translate_LDADD = libfront.a libimap.a libbase.a
