bin_PROGRAMS += wherryctl
noinst_LIBRARIES += libctl.a
libctl_a_SOURCES = src/ctl/account.c src/ctl/collections.c src/ctl/ctl.h src/ctl/json.c src/ctl/left.c src/ctl/model.c src/ctl/password.c src/ctl/status.c \
	src/ctl/text.c src/ctl/verify.c
CTL_LIBS = libctl.a libverify.a libclient.a libauth.a libstore.a libnet.a libimap.a libconf.a libbase.a $(UV_LIBS) $(OPENSSL_LIBS) $(ZLIB_LIBS) $(LMDB_LIBS) \
	$(CONFUSE_LIBS)
wherryctl_SOURCES = src/ctl/main.c
wherryctl_LDADD = $(CTL_LIBS)
