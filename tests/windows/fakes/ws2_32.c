// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Writes down what is asked of ws2_32 in C:\recorded\ws2_32.log, and hands it on. C:\recorded\bind.code has the errors that the
// next binds answer instead, one on a line; 0 hands on.
#define WINSOCK_API_LINKAGE // its functions are ours, not imported
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <string.h>

static void *real(const char *name)
{
    return (void *)GetProcAddress(LoadLibraryA("C:\\windows\\system32\\ws2_32.dll"), name);
}

static void say(const char *what, int a, int b, int c)
{
    FILE *log = fopen("C:\\recorded\\ws2_32.log", "a");
    if (log) {
        fprintf(log, "%s %d %d %d\n", what, a, b, c);
        fclose(log);
    }
}

int WSAAPI setsockopt(SOCKET s, int level, int name, const char *value, int size)
{
    say("setsockopt", level, name, size == 4 ? *(const int *)value : -1);
    return ((int(WSAAPI *)(SOCKET, int, int, const char *, int))real("setsockopt"))(s, level, name, value, size);
}

int WSAAPI bind(SOCKET s, const struct sockaddr *where, int size)
{
    static int calls;
    int code = 0, one;
    FILE *codes = fopen("C:\\recorded\\bind.code", "r");
    for (int call = 0; codes && fscanf(codes, "%d", &one) == 1; call++)
        if (call == calls)
            code = one;
    if (codes)
        fclose(codes);
    calls++;
    say("bind", where->sa_family, __builtin_bswap16(((const struct sockaddr_in *)where)->sin_port), size);
    if (code) {
        SetLastError(code);
        return SOCKET_ERROR;
    }
    return ((int(WSAAPI *)(SOCKET, const struct sockaddr *, int))real("bind"))(s, where, size);
}
