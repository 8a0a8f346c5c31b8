if HAVE_CMOCKA
APP_UNIT_TESTS = tests/unit/test_auth tests/unit/test_conf tests/unit/test_ctl tests/unit/test_man
check_PROGRAMS += $(APP_UNIT_TESTS)
TESTS += $(APP_UNIT_TESTS)
tests_unit_test_auth_SOURCES = tests/unit/test_auth.c tests/unit/unit.h
tests_unit_test_auth_LDADD = libauth.a libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_conf_SOURCES = tests/unit/test_conf.c tests/unit/unit.h
tests_unit_test_conf_LDADD = libconf.a libbase.a $(CONFUSE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_ctl_SOURCES = tests/unit/test_ctl.c tests/unit/unit.h
tests_unit_test_ctl_LDADD = $(CTL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_man_SOURCES = tests/unit/test_man.c tests/unit/unit.h
tests_unit_test_man_CPPFLAGS = $(AM_CPPFLAGS) -DMAN_DIR=\"$(abs_top_srcdir)/man\"
tests_unit_test_man_LDADD = libconf.a libbase.a $(CONFUSE_LIBS) $(CMOCKA_LIBS)
endif

dist_check_SCRIPTS += tests/check-man
TESTS += tests/check-man

APP_FUZZ = tests/fuzz/fuzz_auth tests/fuzz/fuzz_conf
check_PROGRAMS += $(APP_FUZZ)
TESTS += $(APP_FUZZ)
tests_fuzz_fuzz_auth_SOURCES = tests/fuzz/fuzz_auth.c tests/fuzz/replay.c
tests_fuzz_fuzz_auth_LDADD = libauth.a libbase.a $(OPENSSL_LIBS)
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c tests/fuzz/replay.c
tests_fuzz_fuzz_conf_LDADD = libconf.a libbase.a $(CONFUSE_LIBS)
