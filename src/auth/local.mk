noinst_LIBRARIES += libauth.a
libauth_a_SOURCES = src/auth/digest.c src/auth/guard.c src/auth/name.c src/auth/sasl.c include/wherry/auth/auth.h include/wherry/auth/digest.h
