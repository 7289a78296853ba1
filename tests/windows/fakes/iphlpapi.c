// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Answers for iphlpapi with what a test has recorded in C:\recorded; a table that was not recorded is empty.
//
//   tcp4.bin, tcp6.bin, udp4.bin, udp6.bin   the bytes of a table
//   tcp4.code ...                            fail with this number instead
//   growing                                  the table is longer by 100,000 bytes each time that it is asked for, three times
//   module.txt                               name of the owner module of every row
//   set.code                                 what SetTcpEntry answers; 0 also takes tcp4.bin away. Its rows go to set.log
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static BYTE bytes[1 << 20];

static DWORD recorded(const char *name, BYTE *into, DWORD room)
{
    char path[64];
    DWORD size = 0;
    snprintf(path, sizeof path, "C:\\recorded\\%s", name);
    HANDLE file = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return 0;
    if (!ReadFile(file, into, room, &size, NULL))
        size = 0;
    CloseHandle(file);
    return size;
}

static int number(const char *name, int otherwise)
{
    BYTE text[32] = {0};
    return recorded(name, text, sizeof text - 1) ? atoi((char *)text) : otherwise;
}

static DWORD answer(const char *table, void *into, DWORD *room)
{
    static int asked;
    char name[32];
    BYTE grow[1];
    snprintf(name, sizeof name, "%s.code", table);
    DWORD code = number(name, 0);
    if (code)
        return code;
    snprintf(name, sizeof name, "%s.bin", table);
    DWORD size = recorded(name, bytes, sizeof bytes);
    if (!size) {
        memset(bytes, 0, 8);
        size = 8;
    }
    if (recorded("growing", grow, 1) && asked < 3) {
        *room = *room + 100000 * ++asked;
        return ERROR_INSUFFICIENT_BUFFER;
    }
    if (!into || *room < size) {
        *room = size;
        return ERROR_INSUFFICIENT_BUFFER;
    }
    memcpy(into, bytes, size);
    *room = size;
    return NO_ERROR;
}

DWORD WINAPI GetExtendedTcpTable(void *into, DWORD *room, BOOL order, ULONG family, int class, ULONG reserved)
{
    if (class != 8) // TCP_TABLE_OWNER_MODULE_ALL
        return ERROR_INVALID_PARAMETER;
    return answer(family == AF_INET ? "tcp4" : "tcp6", into, room);
}

DWORD WINAPI GetExtendedUdpTable(void *into, DWORD *room, BOOL order, ULONG family, int class, ULONG reserved)
{
    if (class != 2) // UDP_TABLE_OWNER_MODULE
        return ERROR_INVALID_PARAMETER;
    return answer(family == AF_INET ? "udp4" : "udp6", into, room);
}

// TCPIP_OWNER_MODULE_BASIC_INFO: pointers to name and path, then the texts.
static DWORD module(void *into, DWORD *room)
{
    BYTE text[64] = {0};
    if (!recorded("module.txt", text, sizeof text - 1))
        return ERROR_NOT_FOUND;
    if (*room < 256) {
        *room = 256;
        return ERROR_INSUFFICIENT_BUFFER;
    }
    WCHAR **names = into;
    names[0] = names[1] = (WCHAR *)(names + 2);
    MultiByteToWideChar(CP_UTF8, 0, (char *)text, -1, names[0], 64);
    return NO_ERROR;
}

DWORD WINAPI GetOwnerModuleFromTcpEntry(void *row, int class, void *into, DWORD *room)
{
    return module(into, room);
}

DWORD WINAPI GetOwnerModuleFromUdpEntry(void *row, int class, void *into, DWORD *room)
{
    return module(into, room);
}

DWORD WINAPI GetOwnerModuleFromTcp6Entry(void *row, int class, void *into, DWORD *room)
{
    return module(into, room);
}

DWORD WINAPI GetOwnerModuleFromUdp6Entry(void *row, int class, void *into, DWORD *room)
{
    return module(into, room);
}

DWORD WINAPI SetTcpEntry(DWORD *row)
{
    FILE *log = fopen("C:\\recorded\\set.log", "a");
    if (log) {
        for (int i = 0; i < 20; i++)
            fprintf(log, "%02x", ((BYTE *)row)[i]);
        fprintf(log, "\n");
        fclose(log);
    }
    DWORD code = number("set.code", 0);
    if (code == 0)
        DeleteFileA("C:\\recorded\\tcp4.bin");
    return code;
}
