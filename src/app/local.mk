sbin_PROGRAMS += wherryd
wherryd_SOURCES = src/app/daemon.c src/app/daemon.h src/app/main.c src/app/privileges.c src/app/report.c \
	src/app/tls_set.c
wherryd_LDADD = libfront.a libmove.a libclient.a libauth.a libstore.a libnet.a libimap.a libsmtp.a $(HTTP_LIBS) libdav.a libconf.a \
	libbase.a $(UV_LIBS) $(OPENSSL_LIBS) $(ZLIB_LIBS) $(LMDB_LIBS) $(CONFUSE_LIBS) $(CURL_LIBS) $(XML_LIBS) $(ICAL_LIBS)
EXTRA_DIST += contrib/wherryd.service
