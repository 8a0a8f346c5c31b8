noinst_LIBRARIES += libsmtp.a
libsmtp_a_SOURCES = src/smtp/cmd.c src/smtp/data.c src/smtp/ehlo.c src/smtp/reply.c \
	include/wherry/smtp/cmd.h include/wherry/smtp/reply.h
