if HAVE_CMOCKA
APP_UNIT_TESTS = tests/unit/test_auth tests/unit/test_conf tests/unit/test_ctl
check_PROGRAMS += $(APP_UNIT_TESTS)
TESTS += $(APP_UNIT_TESTS)
tests_unit_test_auth_SOURCES = tests/unit/test_auth.c tests/unit/unit.h
tests_unit_test_auth_LDADD = libauth.a libbase.a $(OPENSSL_LIBS) $(CMOCKA_LIBS)
tests_unit_test_conf_SOURCES = tests/unit/test_conf.c tests/unit/unit.h
tests_unit_test_conf_LDADD = libconf.a libbase.a $(CONFUSE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_ctl_SOURCES = tests/unit/test_ctl.c tests/unit/unit.h
tests_unit_test_ctl_LDADD = $(CTL_LIBS) $(CMOCKA_LIBS)
endif
