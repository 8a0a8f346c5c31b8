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
endif
