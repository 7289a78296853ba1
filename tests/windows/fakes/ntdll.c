// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Answers for ntdll where Wine has nothing: the command line (class 60), the critical flag (29) and the protection (61) of every
// process. C:\recorded\critical and C:\recorded\protection have the numbers, C:\recorded\command the text; what is not
// there is answered as Wine does.
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef LONG(NTAPI *Query)(HANDLE, int, void *, ULONG, ULONG *);

#define INFO_LENGTH_MISMATCH ((LONG)0xC0000004)

static int recorded(const char *name, char *into, int room)
{
    char path[64];
    snprintf(path, sizeof path, "C:\\recorded\\%s", name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    int size = (int)fread(into, 1, room - 1, file);
    into[size] = 0;
    fclose(file);
    return 1;
}

LONG NTAPI NtQueryInformationProcess(HANDLE process, int class, void *into, ULONG room, ULONG *length)
{
    static char text[40000];
    static WCHAR wide[40000];
    if (class == 60 && recorded("command", text, sizeof text)) {
        ULONG size = 2 * (MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, 40000) - 1);
        *length = 16 + size + 2;
        if (room < *length)
            return INFO_LENGTH_MISMATCH;
        ((USHORT *)into)[0] = (USHORT)size;
        ((USHORT *)into)[1] = (USHORT)(size + 2);
        ((WCHAR **)into)[1] = (WCHAR *)((BYTE *)into + 16);
        memcpy((BYTE *)into + 16, wide, size + 2);
        return 0;
    }
    if (class == 29 && recorded("critical", text, sizeof text)) {
        *(ULONG *)into = atoi(text);
        return 0;
    }
    if (class == 61 && recorded("protection", text, sizeof text)) {
        *(BYTE *)into = (BYTE)atoi(text);
        return 0;
    }
    HMODULE real = LoadLibraryA("C:\\windows\\system32\\ntdll.dll");
    return ((Query)GetProcAddress(real, "NtQueryInformationProcess"))(process, class, into, room, length);
}
