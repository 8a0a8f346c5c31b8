noinst_LIBRARIES += libclient.a
libclient_a_SOURCES = src/client/breaker.c src/client/dav.c src/client/dav_creds.c src/client/imap.c src/client/imap_out.c \
	src/client/imap_priv.h src/client/smtp.c include/wherry/client/breaker.h include/wherry/client/dav.h \
	include/wherry/client/imap.h include/wherry/client/smtp.h
