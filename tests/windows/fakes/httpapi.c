// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Answers for the URL reservations of HTTP.sys with the lines of C:\recorded\reservations.
#include <windows.h>
#include <stdio.h>
#include <string.h>

struct query {
    int kind;
    WCHAR *prefix;
    DWORD token;
};

ULONG WINAPI HttpInitialize(ULONG version, ULONG flags, void *reserved)
{
    return version == 1 && flags == 2 ? NO_ERROR : ERROR_INVALID_PARAMETER;
}

ULONG WINAPI HttpTerminate(ULONG flags, void *reserved)
{
    return NO_ERROR;
}

ULONG WINAPI HttpQueryServiceConfiguration(HANDLE service, int info, struct query *query, ULONG size, void *into, ULONG room, ULONG *needed, void *overlapped)
{
    char line[512];
    FILE *lines = fopen("C:\\recorded\\reservations", "r");
    if (info != 2 || size != sizeof *query || query->kind != 1)
        return ERROR_INVALID_PARAMETER;
    for (DWORD number = 0; lines && fgets(line, sizeof line, lines); number++) {
        if (number != query->token)
            continue;
        fclose(lines);
        line[strcspn(line, "\r\n")] = 0;
        *needed = 16 + 2 * ((ULONG)strlen(line) + 1);
        if (room < *needed)
            return ERROR_INSUFFICIENT_BUFFER;
        ((WCHAR **)into)[0] = (WCHAR *)((BYTE *)into + 16);
        MultiByteToWideChar(CP_UTF8, 0, line, -1, (WCHAR *)((BYTE *)into + 16), (int)strlen(line) + 1);
        return NO_ERROR;
    }
    if (lines)
        fclose(lines);
    return ERROR_NO_MORE_ITEMS;
}
