"""``biggan completion``: what a shell needs to complete our commands, presets and options."""

from __future__ import annotations

from collections.abc import Callable

from biggan.cli.commands import COMMANDS
from biggan.foundation.errors import UserError, nearest
from biggan.foundation.terminal import say

USAGE = """usage: biggan completion SHELL

Print what a shell needs to complete commands, presets and options: bash, zsh or fish.

  eval "$(biggan completion bash)"                                      in ~/.bashrc
  eval "$(biggan completion zsh)"                                       in ~/.zshrc
  biggan completion fish > ~/.config/fish/completions/biggan.fish"""

_BASH = """_biggan() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    elif [ "$COMP_CWORD" -eq 2 ] && [ "${{current#-}}" = "$current" ]; then
        case "${{COMP_WORDS[1]}}" in
{second}
        esac
    else
        case "${{COMP_WORDS[1]}}" in
{options}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -o bashdefault -F _biggan biggan
"""


def main(words: list[str]) -> int:
    """Print the script of a shell."""
    if not words or words[0] in ("-h", "--help"):
        say(USAGE)
        return 0 if words else 2
    shells: dict[str, Callable[[], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
    if len(words) > 1 or words[0] not in shells:
        raise UserError(f"completion {' '.join(words)}: one of {', '.join(nearest(words[0], shells))}")
    say(shells[words[0]]())
    return 0


def table() -> dict[str, tuple[list[str], list[str]]]:
    """Return what may follow each command: words that come second, and options."""
    from biggan.cli.option_names import kinds, options_of
    from biggan.presets.registry import PRESETS

    found = {}
    for command in COMMANDS:
        own = [kind for kind in kinds() if kind.split()[0] == command]
        second = [kind.split()[1] for kind in own if " " in kind]
        second += ["auto", *PRESETS] if command == "train" else []
        second += ["bash", "zsh", "fish"] if command == "completion" else []
        more = {"--hours", "--help-all"} if command == "train" else set()
        options = sorted({"--help"}.union(more, *(options_of(kind) for kind in own)))
        found[command] = (second, options)
    return found


def bash() -> str:
    """Return a function of bash."""
    known = table()

    def cases(part: int) -> str:
        lines = [
            f'            {name}) words="{" ".join(words[part])}" ;;' for name, words in known.items() if words[part]
        ]
        return "\n".join(lines)

    return _BASH.format(commands=" ".join(known), second=cases(0), options=cases(1))


def zsh() -> str:
    """Return the same for zsh, by its own emulation of bash's completion."""
    return f"autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{bash()}"


def fish() -> str:
    """Return commands of fish, one for each word."""
    lines = ["complete -c biggan -e"]
    for name, (_, what) in COMMANDS.items():
        lines.append(f'complete -c biggan -n __fish_use_subcommand -f -a {name} -d "{what}"')
    for name, (second, options) in table().items():
        seen = f'-n "__fish_seen_subcommand_from {name}"'
        lines += [f"complete -c biggan {seen} -a {word}" for word in second]
        lines += [f"complete -c biggan {seen} -l {option.removeprefix('--')}" for option in options]
    return "\n".join(lines)
