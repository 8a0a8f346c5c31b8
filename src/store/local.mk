noinst_LIBRARIES += libstore.a
libstore_a_CPPFLAGS = $(AM_CPPFLAGS) $(UV_CFLAGS)
libstore_a_SOURCES = src/store/batch.c src/store/codec.c src/store/env.c src/store/item.c src/store/items.c src/store/records.c \
	src/store/store.c src/store/tables.c src/store/txn.c src/store/writer.c \
	src/store/codec.h src/store/env.h \
	include/wherry/store/records.h include/wherry/store/store.h
