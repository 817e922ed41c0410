"""How the page looks: on telephones, on wide screens, in the dark and on paper."""

from convergegate_async.load.report.palette import DARK, LIGHT, declared

STYLE = f"""
:root {{ color-scheme: light dark; {declared(LIGHT)} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {declared(DARK)} }} }}
@media print {{ :root {{ color-scheme: light; --ground: #fff; }} }}
* {{ box-sizing: border-box; }}
html {{ -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }}
body {{ margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue",
  "Liberation Sans", sans-serif; }}
main {{ max-width: 84rem; margin: 0 auto;
  padding: 1.25rem clamp(.75rem, 3vw, 2rem) 3rem;
  display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem; }}
main > * {{ grid-column: 1 / -1; min-width: 0; background: var(--paper);
  border: 1px solid var(--line); border-radius: 12px; padding: 1.1rem 1.25rem; }}
@media (min-width: 60rem) {{ main > .half {{ grid-column: span 1; }} }}
h1 {{ margin: .1rem 0 .4rem; font-size: 2rem; line-height: 1.2; display: flex;
  flex-wrap: wrap; align-items: center; gap: .35em; letter-spacing: -.01em; }}
h2 {{ margin: 0 0 .6rem; font-size: 1.05rem; }}
p, ul {{ margin: .3rem 0; max-width: 62rem; }}
ul {{ padding-left: 1.2rem; }}
li, td:last-child, small {{ overflow-wrap: anywhere; }}
.soft {{ color: var(--soft); }}
.good {{ --tone: var(--good); color: var(--tone); }}
.bad {{ --tone: var(--bad); color: var(--tone); }}
.warn {{ --tone: var(--warn); }} .plain {{ --tone: var(--plain); }}
.verdict {{ border-left: 8px solid var(--tone); color: var(--ink); }}
.verdict h1 {{ color: var(--tone); }}
.in-short {{ font-size: 1.1rem; font-weight: 600; font-variant-numeric: tabular-nums; }}
.void .in-short {{ color: var(--soft); font-style: italic; }}
.sign {{ display: inline-grid; place-items: center; width: 1.35em; height: 1.35em;
  border-radius: 50%; background: var(--tone); color: var(--paper); font-size: .8em; }}
.chip {{ font-size: .9rem; font-weight: 600; letter-spacing: 0; padding: .1rem .7rem;
  border: 1.5px solid currentcolor; border-radius: 99px; }}
.ribbon {{ position: sticky; top: 0; z-index: 2; margin: 0; max-width: none;
  padding: .5rem 1rem; text-align: center; color: #2e2300;
  background: repeating-linear-gradient(45deg, #ffd84d 0 14px, #ffcb1f 14px 28px); }}
.caveat {{ font-weight: 600; color: var(--warn); border-left: 4px solid var(--warn);
  padding: .35rem .8rem; margin: .6rem 0; }}
.void .figures tbody td {{ color: var(--soft); font-style: italic; }}
.box {{ overflow-x: auto; }}
.box:focus-visible, summary:focus-visible {{ outline: 3px solid var(--plain);
  outline-offset: 2px; border-radius: 4px; }}
table {{ border-collapse: collapse; width: 100%; font-size: .93rem; }}
caption {{ position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); }}
th, td {{ text-align: left; vertical-align: top; padding: .36rem .9rem .36rem 0;
  border-bottom: 1px solid var(--line); font-weight: 400; }}
thead th {{ color: var(--soft); font-size: .85rem; white-space: nowrap;
  border-bottom-color: var(--soft); }}
tbody tr:last-child > * {{ border-bottom: 0; }}
.n {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
th:last-child, td:last-child {{ padding-right: 0; }}
th[scope="row"] {{ white-space: nowrap; }}
th small {{ font-size: .85em; line-height: 1.3; }}
.words :is(th, td):not(:last-child) {{ width: 1%; white-space: nowrap;
  padding-right: clamp(.9rem, 2vw, 2rem); }}
td:not(.n):last-child {{ min-width: 7rem; }}
code {{ font: .92em ui-monospace, "SF Mono", Menlo, Consolas, monospace;
  unicode-bidi: isolate; }}
small {{ display: block; white-space: pre-wrap; }}
.errors :is(th, td):first-child {{ width: 1%; }}
.key {{ display: inline-block; width: .7em; height: .7em; border-radius: 2px;
  margin-right: .5em; background: var(--key); }}
summary {{ cursor: pointer; color: var(--soft); }}
details .box {{ max-height: 32rem; overflow-y: auto; margin-top: .5rem; }}
details thead th {{ position: sticky; top: 0; background: var(--paper); }}
.charts {{ display: grid; gap: 1.6rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }}
.charts h2 {{ grid-column: 1 / -1; margin: 0; }}
figure {{ margin: 0; min-width: 0; }}
figcaption {{ margin-bottom: .5rem; color: var(--soft); font-size: .9rem; }}
figcaption strong {{ color: var(--ink); font-size: .95rem; }}
figure svg {{ display: block; width: 100%; height: auto; }}
figure svg text {{ font-family: inherit; }}
.narrow {{ display: none; }}
@media screen and (max-width: 34rem) {{
  .wide {{ display: none; }} .narrow {{ display: block; }}
  main {{ padding: .75rem .6rem 2rem; gap: .7rem; }}
  main > * {{ padding: .9rem .9rem; border-radius: 10px; }}
  h1 {{ font-size: 1.6rem; }}
}}
@media print {{
  @page {{ margin: 10mm; }}
  body {{ font-size: 9.5pt; }}
  * {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
  main {{ display: block; padding: 0; }}
  main > * {{ border: 0; border-radius: 0; padding: 0; margin: 0 0 4mm; }}
  .verdict {{ border-left: 3mm solid var(--tone); padding-left: 4mm; }}
  .ribbon {{ position: static; }}
  .box, details .box {{ overflow: visible; max-height: none; }}
  table {{ font-size: 8pt; }}
  th, td {{ padding: .7mm 2mm .7mm 0; }}
  thead {{ display: table-header-group; }}
  details thead th {{ position: static; }}
  section:not(.charts), tr, figure {{ break-inside: avoid; }}
  h2 {{ break-after: avoid; }}
  .charts {{ grid-template-columns: 1fr 1fr; gap: 5mm; }}
  figcaption {{ font-size: 8pt; }}
  .wide {{ display: none; }} .narrow {{ display: block; }}
}}
@media (prefers-reduced-motion: reduce) {{ * {{ animation: none; transition: none; }} }}
"""
"""No motion, no address, and no colour that is not of the palette but the ribbon's."""
