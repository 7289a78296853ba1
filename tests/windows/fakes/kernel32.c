// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Answers for kernel32: every process is in session 0, where ours is not; with C:\recorded\critical it is critical (with
// C:\recorded\older this Windows can't say that in this way), and with
// C:\recorded\unending nobody may open it to end it. C:\recorded\parents has lines of CHILD PARENT, which the list of processes
// says then.
#define _KERNEL32_ // its functions are ours, not imported
#include <windows.h>
#include <tlhelp32.h>
#include <stdio.h>

static BOOL recorded(const char *path)
{
    return GetFileAttributesA(path) != INVALID_FILE_ATTRIBUTES;
}

BOOL WINAPI IsProcessCritical(HANDLE process, BOOL *critical)
{
    *critical = recorded("C:\\recorded\\critical");
    return !recorded("C:\\recorded\\older");
}

HANDLE WINAPI OpenProcess(DWORD access, BOOL inherit, DWORD process)
{
    if ((access & PROCESS_TERMINATE) && recorded("C:\\recorded\\unending")) {
        SetLastError(ERROR_ACCESS_DENIED);
        return NULL;
    }
    HMODULE real = LoadLibraryA("C:\\windows\\system32\\kernel32.dll");
    return ((HANDLE(WINAPI *)(DWORD, BOOL, DWORD))(void *)GetProcAddress(real, "OpenProcess"))(access, inherit, process);
}

BOOL WINAPI ProcessIdToSessionId(DWORD process, DWORD *session)
{
    *session = 0;
    return TRUE;
}

static void adopt(PROCESSENTRY32W *entry)
{
    DWORD child, parent;
    FILE *lines = fopen("C:\\recorded\\parents", "r");
    while (lines && fscanf(lines, "%lu %lu", &child, &parent) == 2)
        if (child == entry->th32ProcessID)
            entry->th32ParentProcessID = parent;
    if (lines)
        fclose(lines);
}

typedef BOOL(WINAPI *Turn)(HANDLE, PROCESSENTRY32W *);

BOOL WINAPI Process32FirstW(HANDLE list, PROCESSENTRY32W *entry)
{
    HMODULE real = LoadLibraryA("C:\\windows\\system32\\kernel32.dll");
    BOOL found = ((Turn)(void *)GetProcAddress(real, "Process32FirstW"))(list, entry);
    if (found)
        adopt(entry);
    return found;
}

BOOL WINAPI Process32NextW(HANDLE list, PROCESSENTRY32W *entry)
{
    HMODULE real = LoadLibraryA("C:\\windows\\system32\\kernel32.dll");
    BOOL found = ((Turn)(void *)GetProcAddress(real, "Process32NextW"))(list, entry);
    if (found)
        adopt(entry);
    return found;
}
