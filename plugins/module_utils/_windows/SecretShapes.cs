// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What looks like a secret wherever it stands in a text, and values under a secret's name. Private to harbormaster.ports. The rules are
// those of _observe/secret_shapes.py.
//
// Every pattern takes time in proportion to the text, however it is made: each begins at a fixed word or at the border of a run, and
// what it reads from there has a limit or ends the match.

using System;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.SecretNames;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.SecretShapes
{
    public static class Shapes
    {
        private const string Mask = Secrets.Mask;
        private const RegexOptions Plain = RegexOptions.CultureInvariant;
        private const RegexOptions Lines = RegexOptions.CultureInvariant | RegexOptions.Singleline;
        private const RegexOptions AnyCase = RegexOptions.CultureInvariant | RegexOptions.IgnoreCase;

        // within text: name, closing quote, separator
        private static readonly Regex Field = new Regex(
            @"(?<![\w.@$-])(?<name>[\w.@$-]{1,128})(?:(?<sign>\\{0,3}[""']?[ \t]{0,4}[=:][ \t]{0,4}(?:[NE](?='))?)"
            + @"|(?<sql>[ \t]{0,4}[(=]?[ \t]{0,4}[(]?[NE]?(?<=[ \t(NE])(?=\\{0,3}[""'])))", Plain);

        private static readonly Regex FieldValue = new Regex(
            @"\G(?:'""'""'(?:[^']|'(?!""'""'))*(?:'""'""')?|""[^""\\]*(?:\\.[^""\\]*)*""?|'[^']*'?"
            + @"|\\{1,8}[""'](?:[^""'\\]|\\(?!\\{0,7}[""']))*|(?:[^\s""'&;,})\]\\]|\\.)+|\\)", Lines);

        // in a connection string: blanks belong to the value
        private static readonly Regex Piece = new Regex(@"\G[^;""'\r\n]+", Plain);
        private static readonly Regex PieceAndMore = new Regex(@"\G[^;""'\r\n]{1,256};[ \t]{0,4}[A-Za-z][\w .-]{0,40}=", Plain);
        private static readonly Regex PieceBefore = new Regex(@"(?:[A-Za-z][\w .-]{0,40}=[^;=""'\r\n]{0,200};[ \t]{1,4}|;)\z", Plain);
        private static readonly Regex ScriptBefore = new Regex(@"[-/][A-Za-z]{0,16}[cdkCK][ \t]{1,4}(?:[""']{1,8})\z", Plain);

        // What looks like a secret wherever it stands.
        private static readonly Regex PrivateKey = new Regex(
            @"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\z)", Lines);

        private static readonly Regex Header = new Regex(
            @"(?<name>(?:\b|(?<=-H))(?:proxy-)?authorization\\{0,3}[""']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,3}[""']?)"
            + @"(?<scheme>(?:bearer|basic|token|digest|negotiate|apikey)[ \t]{1,4})?"
            + @"[^\s""'\\]+(?:(?<=,)[ \t][^\r\n'""]{0,4096})?", AnyCase);

        private static readonly Regex Cookies = new Regex(@"(?<name>\b(?:set-)?cookie:[ \t]{0,4})[^\r\n""']+", AnyCase);
        private static readonly Regex Bearer = new Regex(@"(?<scheme>\bbearer[ \t]{1,4})[\w.~+/=-]{6,}", AnyCase);
        // in front of the last @ of a URL's authority; or, where a slash in the password was not escaped, of the first
        private static readonly Regex UrlUser = new Regex(
            @"(?<=://)(?<user>[^\s/?#:@""']{0,256}:)(?:[^\s/?#""']{1,1024}@|(?!\d{1,5}[/?#])[^\s@""']{1,256}@)", Plain);

        // a token as the user: alone, or with a password that is none
        private static readonly Regex UrlToken = new Regex(@"(?<=://)(?<user>[^\s/?#:@""']{1,1024})(?=:?@|:x-oauth-basic@)", Plain);
        private static readonly Regex Query = new Regex(@"(?<=[?&;])(?<name>[A-Za-z_]{1,16}=)(?<value>[^\s""'&#;]{1,4096})", Plain);
        // the same without a scheme: user:secret@tcp(host), user:secret@host/database
        private static readonly Regex Dsn = new Regex(
            @"(?<![\w.%+/@\\:-])(?<user>(?!(?:mailto|sips?|acct|xmpp|urn|npm|git|file|http|https):)[\w.%+-]{1,64}(?:/[\w.%+-]{1,64})?:)"
            + @"(?!//)[^\s""'@]{1,256}(?:@[^\s""'@]{1,256}){0,2}?@(?=[A-Za-z0-9_\[(])(?!sha(?:256|512):)", Plain);

        private static readonly Regex JdbcUser = new Regex(@"(?<user>:(?:thin|oci8?):[^\s/@:]{1,128}/)[^\s@]{1,256}@", Plain);
        private static readonly Regex Identified = new Regex(
            @"(?<head>\bidentified[ \t]{1,4}(?:with[ \t]{1,4}[^\s]{1,64}[ \t]{1,4})?(?:by|as|using)[ \t]{1,4}"
            + @"(?:password[ \t]{1,4}|values[ \t]{1,4})?"
            + @"|\bpassword[ \t]{1,4}for[ \t]{1,4}[^\s=]{1,128}[ \t]{0,4}=[ \t]{0,4})", AnyCase);

        private static readonly Regex Token = new Regex(
            @"(?<![A-Za-z0-9])(?:"
            + @"gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|gl(?:pat|ptt|dt|rtr?|soat|cbt|agent|imt|ft)-[\w-]{16,}|xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}"
            + @"|A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{12,}|sk-(?=[\w-]{0,80}\d)[\w-]{16,}|[srp]k_(?:live|test)_\w{10,}|whsec_\w{16,}|AIza[\w-]{30,}"
            + @"|ya29\.[\w-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{20,}|do[opr]_v1_[0-9a-f]{32,}|hv[sb]\.[\w-]{20,}"
            + @"|SG\.[\w-]{16,64}\.[\w-]{16,}|tskey-[\w-]{10,}|dckr_pat_[\w-]{16,}|hf_[A-Za-z0-9]{30,}|glsa_\w{20,}"
            + @"|AGE-SECRET-KEY-1[A-Z0-9]{20,})"
            + @"|(?<![\w-])eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*", Plain);

        private static readonly Regex Qemu = new Regex(@"(?<head>\bsecret,[^\s""']{0,128}?\bdata=)[^\s""',]{1,4096}", Plain);

        /// <summary>A text without what its looks or its names call a secret.</summary>
        public static string MaskPatterns(string text)
        {
            if (Has(text, "-----BEGIN"))
            {
                text = PrivateKey.Replace(text, Mask);
            }
            text = Header.Replace(text, "${name}${scheme}" + Mask);
            text = Cookies.Replace(text, "${name}" + Mask);
            text = Bearer.Replace(text, "${scheme}" + Mask);
            if (Has(text, "@"))
            {
                if (Has(text, "://"))
                {
                    text = UrlToken.Replace(text, found => Secrets.IsPerson(found.Value) ? found.Value : Mask);
                    text = UrlUser.Replace(text, "${user}" + Mask + "@");
                }
                if (Has(text, "jdbc:"))
                {
                    text = JdbcUser.Replace(text, "${user}" + Mask + "@");
                }
                text = Dsn.Replace(text, "${user}" + Mask + "@");
            }
            if (Has(text, "?") || Has(text, "&"))
            {
                text = Query.Replace(text, MaskQuery);
            }
            if (Has(text, "secret,"))
            {
                text = Qemu.Replace(text, "${head}" + Mask);
            }
            return Token.Replace(MaskFields(MaskIdentified(text)), Mask);
        }

        private static bool Has(string text, string part)
        {
            return text.IndexOf(part, StringComparison.Ordinal) >= 0;
        }

        private static string MaskQuery(Match found)
        {
            string name = found.Groups["name"].Value;
            return SecretTables.QueryNames.Contains(name.Substring(0, name.Length - 1).ToLowerInvariant()) ? name + Mask : found.Value;
        }

        /// <summary>SQL that names the secret by several words.</summary>
        private static string MaskIdentified(string text)
        {
            StringBuilder pieces = new StringBuilder();
            int end = 0;
            foreach (Match found in Identified.Matches(text))
            {
                int following = found.Index + found.Length;
                Match value = following < end ? Match.Empty : FieldValue.Match(text, following);
                if (value.Success && !value.Value.StartsWith("password", StringComparison.OrdinalIgnoreCase))
                {
                    pieces.Append(text, end, following - end).Append(MaskedValue(value.Value));
                    end = value.Index + value.Length;
                }
            }
            return pieces.Append(text, end, text.Length - end).ToString();
        }

        private static string MaskedValue(string value)
        {
            string quote = value.Substring(0, value.Length - value.TrimStart('\\', '"', '\'').Length);
            bool closed = quote.Length > 0 && value.Length > quote.Length && value.EndsWith(quote, StringComparison.Ordinal);
            return quote + Mask + (closed ? quote : "");
        }

        /// <summary>Values under a secret's name, in JSON, YAML, connection strings, SQL, queries and assignments.</summary>
        private static string MaskFields(string text)
        {
            StringBuilder pieces = new StringBuilder();
            int end = 0;
            Match found = Field.Match(text);
            while (found.Success)
            {
                int following = found.Index + found.Length;
                string name = found.Groups["name"].Value;
                // an option's value behind a blank is a word of its own
                bool option = found.Groups["sql"].Success && name[0] == '-';
                if (!option && Secrets.IsSecretName(name) && !IsPlace(text, found))
                {
                    // a long value is always taken for a secret: so none is read again and again for the names in it
                    Match value = ValueOf(text, found, following);
                    if (value.Success && value.Value != Mask && IsSecretField(found, value.Value))
                    {
                        pieces.Append(text, end, following - end).Append(MaskedValue(value.Value));
                        end = following = value.Index + value.Length;
                    }
                }
                // Only the name and its sign are passed: the value may hold names itself (JAVA_OPTS=-Dpassword=x).
                found = Field.Match(text, following);
            }
            return pieces.Append(text, end, text.Length - end).ToString();
        }

        private static Match ValueOf(string text, Match found, int following)
        {
            string sign = found.Groups["sign"].Success ? found.Groups["sign"].Value : found.Groups["sql"].Value;
            if (sign.Trim() == "=" && following < text.Length && "\"'\\;".IndexOf(text[following]) < 0)
            {
                int from = Math.Max(0, found.Index - 256);
                string before = text.Substring(from, found.Index - from);
                bool quoted = before.Length > 0 && (before[before.Length - 1] == '\'' || before[before.Length - 1] == '"');
                bool masked = string.CompareOrdinal(text, following, Mask, 0, Mask.Length) == 0;
                if (PieceBefore.IsMatch(before)
                    || ((before.Length == 0 || quoted) && PieceAndMore.IsMatch(text, following))
                    || (quoted && !ScriptBefore.IsMatch(before) && !masked))
                {
                    return Piece.Match(text, following);
                }
            }
            return FieldValue.Match(text, following);
        }

        /// <summary>Lists of paths and hosts with ports have colons too: /opt/token:/opt/bin, http://auth:8080.</summary>
        private static bool IsPlace(string text, Match found)
        {
            int start = found.Index;
            return found.Groups["sign"].Value == ":" && start > 1 && text[start - 1] == '/' && !char.IsWhiteSpace(text[start - 2]);
        }

        private static bool IsSecretField(Match found, string value)
        {
            string name = found.Groups["name"].Value;
            if (!Secrets.IsSecretValue(name, value))
            {
                return false;
            }
            string[] hosts = { "auth", "token", "secret", "secrets" };
            return !(found.Groups["sign"].Value == ":" && value.All(char.IsDigit) && value.Length <= 5 && hosts.Contains(name.ToLowerInvariant()));
        }
    }
}
