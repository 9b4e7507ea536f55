/* What is used of Envoy's ABI for dynamic modules, v0.1.0, as Envoy 1.39 has it: source/extensions/dynamic_modules/abi/abi.h
 * in its repository. Hooks are ours, and Envoy looks them up by name; callbacks are Envoy's. */
#ifndef HEADRACE_ENVOY_ABI_H
#define HEADRACE_ENVOY_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { const char *at; size_t length; } Bytes;
typedef struct { const char *name; size_t name_length; const char *value; size_t value_length; } Header;

enum { REQUEST_HEADERS = 0, RECEIVED_REQUEST_BODY = 0, CONNECTION_ID = 28 };
enum { CONTINUE = 0, STOP = 1, STOP_WITHOUT_BUFFERING = 3 };

#define CALLBACK(name) envoy_dynamic_module_callback_http_##name
#define HOOK(name) envoy_dynamic_module_on_http_filter_##name

size_t CALLBACK(get_headers_size)(void *filter, int type);
bool CALLBACK(get_headers)(void *filter, int type, Header *into);
size_t CALLBACK(get_body_size)(void *filter, int type);
size_t CALLBACK(get_body_chunks_size)(void *filter, int type);
bool CALLBACK(get_body_chunks)(void *filter, int type, Bytes *into);
bool CALLBACK(filter_get_attribute_int)(void *filter, int attribute, uint64_t *into);
void CALLBACK(send_response_headers)(void *filter, const Header *headers, size_t count, bool end);
void CALLBACK(send_response_data)(void *filter, Bytes data, bool end);
void CALLBACK(send_response_trailers)(void *filter, Header *trailers, size_t count);
void *CALLBACK(filter_scheduler_new)(void *filter);
void CALLBACK(filter_scheduler_commit)(void *scheduler, uint64_t event);
void CALLBACK(filter_scheduler_delete)(void *scheduler);

#endif
