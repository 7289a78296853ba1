// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Answers for the service manager, over the real one of the prefix.
//
//   C:\recorded\services     lines of NAME PID STATE ACCEPTS TYPE: the whole list of services; without it the real list
//   C:\recorded\dependants   lines of NAME DEPENDANT DEPENDANT ...: what EnumDependentServices says
//   C:\recorded\setup        lines of NAME RESTARTS TRIGGERS PROTECTION DELAYED: what QueryServiceConfig2 says
//   C:\recorded\refused      the manager can't be opened
//   C:\recorded\unreachable  the name of an account takes for ever to find
#define _ADVAPI32_ // its functions are ours, not imported
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef SC_HANDLE(WINAPI *OpenManager)(const WCHAR *, const WCHAR *, DWORD);
typedef SC_HANDLE(WINAPI *Open)(SC_HANDLE, const WCHAR *, DWORD);
typedef BOOL(WINAPI *Enumerate)(SC_HANDLE, int, DWORD, DWORD, BYTE *, DWORD, DWORD *, DWORD *, DWORD *, const WCHAR *);

// A service that only the recorded list has is opened as a number of ours.
#define MOST 256
static struct { SC_HANDLE handle; char name[64]; } opened[MOST];
static int open_count;

static void *real(const char *name)
{
    return (void *)GetProcAddress(LoadLibraryA("C:\\windows\\system32\\advapi32.dll"), name);
}

static FILE *recorded(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "C:\\recorded\\%s", name);
    return fopen(path, "r");
}

// The rest of the line that begins with a service's name; 0 when there is none.
static int line_of(const char *file, const char *name, char *rest, int room)
{
    char line[512], first[64];
    int found = 0, used;
    FILE *lines = recorded(file);
    while (lines && !found && fgets(line, sizeof line, lines))
        if (sscanf(line, "%63s%n", first, &used) == 1 && !_stricmp(first, name)) {
            snprintf(rest, room, "%s", line + used);
            found = 1;
        }
    if (lines)
        fclose(lines);
    return found;
}

SC_HANDLE WINAPI OpenSCManagerW(const WCHAR *machine, const WCHAR *database, DWORD access)
{
    FILE *refused = recorded("refused");
    if (!refused)
        return ((OpenManager)real("OpenSCManagerW"))(machine, database, access);
    fclose(refused);
    SetLastError(ERROR_ACCESS_DENIED);
    return NULL;
}

SC_HANDLE WINAPI OpenServiceW(SC_HANDLE manager, const WCHAR *name, DWORD access)
{
    SC_HANDLE handle = ((Open)real("OpenServiceW"))(manager, name, access);
    int at = open_count++ % MOST;
    if (!handle)
        handle = (SC_HANDLE)(UINT_PTR)(0x7fff0000 + at);
    opened[at].handle = handle;
    WideCharToMultiByte(CP_UTF8, 0, name, -1, opened[at].name, sizeof opened[at].name, NULL, NULL);
    return handle;
}

static int is_ours(SC_HANDLE handle)
{
    return ((UINT_PTR)handle & 0xffff0000) == 0x7fff0000;
}

BOOL WINAPI CloseServiceHandle(SC_HANDLE handle)
{
    return is_ours(handle) || ((BOOL(WINAPI *)(SC_HANDLE))real("CloseServiceHandle"))(handle);
}

BOOL WINAPI QueryServiceConfigW(SC_HANDLE service, QUERY_SERVICE_CONFIGW *into, DWORD room, DWORD *needed)
{
    if (!is_ours(service))
        return ((BOOL(WINAPI *)(SC_HANDLE, QUERY_SERVICE_CONFIGW *, DWORD, DWORD *))real("QueryServiceConfigW"))(service, into, room, needed);
    memset(into, 0, sizeof *into);
    into->dwStartType = SERVICE_AUTO_START;
    return TRUE;
}

static const char *name_of(SC_HANDLE handle)
{
    for (int back = 1; back <= MOST && back <= open_count; back++)
        if (opened[(open_count - back) % MOST].handle == handle)
            return opened[(open_count - back) % MOST].name;
    return "";
}

BOOL WINAPI EnumServicesStatusExW(SC_HANDLE manager, SC_ENUM_TYPE level, DWORD type, DWORD state, BYTE *into, DWORD room, DWORD *needed, DWORD *count, DWORD *resume, const WCHAR *group)
{
    static WCHAR names[64][64];
    char name[64];
    DWORD pid, now, accepts, kind;
    FILE *lines = recorded("services");
    if (!lines)
        return ((Enumerate)real("EnumServicesStatusExW"))(manager, level, type, state, into, room, needed, count, resume, group);
    ENUM_SERVICE_STATUS_PROCESSW *entries = (void *)into;
    *count = 0;
    while (fscanf(lines, "%63s %lu %lu %lu %lu", name, &pid, &now, &accepts, &kind) == 5 && *count < 64) {
        ENUM_SERVICE_STATUS_PROCESSW *one = &entries[*count];
        memset(one, 0, sizeof *one);
        MultiByteToWideChar(CP_UTF8, 0, name, -1, names[*count], 64);
        one->lpServiceName = one->lpDisplayName = names[*count];
        one->ServiceStatusProcess.dwServiceType = kind;
        one->ServiceStatusProcess.dwCurrentState = now;
        one->ServiceStatusProcess.dwControlsAccepted = accepts;
        one->ServiceStatusProcess.dwProcessId = pid;
        ++*count;
    }
    fclose(lines);
    *needed = 0;
    return TRUE;
}

BOOL WINAPI EnumDependentServicesW(SC_HANDLE service, DWORD state, ENUM_SERVICE_STATUSW *into, DWORD room, DWORD *needed, DWORD *count)
{
    static WCHAR names[64][64];
    char rest[512];
    *needed = *count = 0;
    if (!line_of("dependants", name_of(service), rest, sizeof rest))
        return TRUE;
    for (char *name = strtok(rest, " \r\n"); name && *count < 64; name = strtok(NULL, " \r\n")) {
        memset(&into[*count], 0, sizeof *into);
        MultiByteToWideChar(CP_UTF8, 0, name, -1, names[*count], 64);
        into[*count].lpServiceName = into[*count].lpDisplayName = names[*count];
        into[*count].ServiceStatus.dwCurrentState = SERVICE_RUNNING;
        ++*count;
    }
    return TRUE;
}

BOOL WINAPI QueryServiceConfig2W(SC_HANDLE service, DWORD level, BYTE *into, DWORD room, DWORD *needed)
{
    char rest[512];
    int restarts, triggers, protection, delayed;
    if (!line_of("setup", name_of(service), rest, sizeof rest) || sscanf(rest, "%d %d %d %d", &restarts, &triggers, &protection, &delayed) != 4) {
        SetLastError(ERROR_INVALID_LEVEL);
        return FALSE;
    }
    if (room < 256) {
        *needed = 256;
        SetLastError(ERROR_INSUFFICIENT_BUFFER);
        return FALSE;
    }
    if (level == SERVICE_CONFIG_FAILURE_ACTIONS) {
        SERVICE_FAILURE_ACTIONSW *failures = (void *)into;
        failures->cActions = 2;
        failures->lpsaActions = (void *)(failures + 1);
        failures->lpsaActions[0].Type = SC_ACTION_NONE;
        failures->lpsaActions[1].Type = restarts ? SC_ACTION_RESTART : SC_ACTION_NONE;
    } else {
        *(DWORD *)into = level == 3 ? delayed : level == 8 ? triggers : protection;
    }
    return TRUE;
}

BOOL WINAPI LookupAccountSidW(const WCHAR *system, PSID sid, WCHAR *name, DWORD *name_size, WCHAR *domain, DWORD *domain_size, SID_NAME_USE *use)
{
    FILE *unreachable = recorded("unreachable");
    if (unreachable)
        Sleep(INFINITE);
    return ((BOOL(WINAPI *)(const WCHAR *, PSID, WCHAR *, DWORD *, WCHAR *, DWORD *, SID_NAME_USE *))real("LookupAccountSidW"))(
        system, sid, name, name_size, domain, domain_size, use);
}
