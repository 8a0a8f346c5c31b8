if HAVE_CMOCKA
BASE_UNIT_TESTS = tests/unit/test_buf tests/unit/test_hash tests/unit/test_log
check_PROGRAMS += $(BASE_UNIT_TESTS)
TESTS += $(BASE_UNIT_TESTS)
tests_unit_test_buf_SOURCES = tests/unit/test_buf.c tests/unit/unit.h
tests_unit_test_buf_LDADD = libbase.a $(CMOCKA_LIBS)
tests_unit_test_hash_SOURCES = tests/unit/test_hash.c tests/unit/unit.h
tests_unit_test_hash_LDADD = libbase.a $(CMOCKA_LIBS)
tests_unit_test_log_SOURCES = tests/unit/test_log.c tests/unit/unit.h
tests_unit_test_log_LDADD = libbase.a $(CMOCKA_LIBS)
AUTH_UNIT_TESTS = tests/unit/test_auth
check_PROGRAMS += $(AUTH_UNIT_TESTS)
TESTS += $(AUTH_UNIT_TESTS)
tests_unit_test_auth_SOURCES = tests/unit/test_auth.c tests/unit/unit.h
tests_unit_test_auth_LDADD = libauth.a libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
NET_UNIT_TESTS = tests/unit/test_worker tests/unit/test_stream
NET_UNIT_LDADD = libnet.a libbase.a $(UV_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
NET_UNIT_PEER = tests/unit/net_peer.c tests/unit/net_peer.h tests/unit/unit.h
check_PROGRAMS += $(NET_UNIT_TESTS)
TESTS += $(NET_UNIT_TESTS)
tests_unit_test_worker_SOURCES = tests/unit/test_worker.c tests/unit/unit.h
tests_unit_test_worker_LDADD = $(NET_UNIT_LDADD)
tests_unit_test_stream_SOURCES = tests/unit/test_stream.c $(NET_UNIT_PEER)
tests_unit_test_stream_LDADD = $(NET_UNIT_LDADD)
endif
