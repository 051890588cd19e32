/** Icons of one stroke width, 24 × 24. They are decoration: the text beside them, or a label, says the same. */
const paths = {
  live: 'M3 8a2 2 0 0 1 2-2h9a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2zM16 11l5-3v8l-5-3',
  alerts: 'M6 9a6 6 0 0 1 12 0c0 6 2.5 7 2.5 7h-17S6 15 6 9M10 20a2.2 2.2 0 0 0 4 0',
  people: 'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M2.5 20a6.5 6.5 0 0 1 13 0M16 4.2a3.5 3.5 0 0 1 0 6.6M18 14.5a6.5 6.5 0 0 1 3.5 5.5',
  strangers: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4.5 20.5a7.5 7.5 0 0 1 11-6.6M19 21v.01M17.2 15.6a2 2 0 1 1 2.6 1.9c-.5.2-.8.6-.8 1.2',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14M20.5 20.5 16 16',
  ledger: 'M5 4h11l3 3v13H5zM8.5 12l2.3 2.3L15.5 10M8.5 18h7',
  rules: 'M4 6h10M18 6h2M4 12h2M10 12h10M4 18h8M16 18h4M16 4v4M8 10v4M14 16v4',
  system: 'M4 5h16v6H4zM4 13h16v6H4zM7.5 8h.01M7.5 16h.01M11 8h6M11 16h6',
  letters: 'M4 5h16v14H4zM4 13h4l1.5 2.5h5L16 13h4',
  menu: 'M4 7h16M4 12h16M4 17h16',
  close: 'M6 6l12 12M18 6 6 18',
  check: 'M5 12.5 10 17.5 19.5 7',
  plus: 'M12 5v14M5 12h14',
  left: 'M14.5 6l-6 6 6 6',
  right: 'M9.5 6l6 6-6 6',
  merge: 'M6 4v5a5 5 0 0 0 5 5h8M15 10l4 4-4 4M6 14v6',
  split: 'M5 12h5a5 5 0 0 0 5-5V5M12 8l3-3 3 3M10 12a5 5 0 0 1 5 5v2M12 16l3 3 3-3',
  edit: 'M4 20l1-4L16.5 4.5l3 3L8 19zM14 7l3 3',
  trash: 'M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13M10 11v5M14 11v5',
  download: 'M12 4v11M7.5 10.5 12 15l4.5-4.5M4 15v4h16v-4',
  upload: 'M12 16V5M7.5 9.5 12 5l4.5 4.5M4 15v4h16v-4',
  replay: 'M4 12a8 8 0 1 0 2.5-5.8M4 4v4.5h4.5',
  warning: 'M12 4 2.8 20h18.4zM12 10v4.5M12 17.3v.01',
  camera: 'M4 8h3.5L9 5.5h6L16.5 8H20v11H4zM12 16.5a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4',
  offline: 'M4 4l16 16M8.5 16a5 5 0 0 1 5.5-1M5 12.5a10 10 0 0 1 4-2.4M2.5 9A14 14 0 0 1 6 6.7M12 19.5v.01M12.5 7.6A14 14 0 0 1 21.5 9',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4.5 20.5a7.5 7.5 0 0 1 15 0',
  exit: 'M14 4H5v16h9M10 12h10.5M17 8.5l3.5 3.5-3.5 3.5',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M18.4 5.6 17 7M7 17l-1.4 1.4',
  undo: 'M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3',
} as const

export type IconName = keyof typeof paths

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  )
}
